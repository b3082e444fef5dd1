#include "omni/checkpoint/shard.h"

#include <charconv>
#include <cstdio>

#include "omni/core/error.h"
#include "tensor_size.h"

namespace omni::checkpoint {
namespace {

// "12 40x64": from element 12 on of a tensor of 40 rows and 64 columns.
std::string place_text(const Piece& piece) {
  std::string text = concat(piece.first, " ");
  for (std::size_t i = 0; i < piece.shape.size(); ++i) text += concat(i == 0 ? "" : "x", piece.shape[i]);
  return text;
}

bool read_place(const std::string& text, Piece& piece) {
  const char* at = text.data();
  const char* const end = text.data() + text.size();
  const auto number = [&](std::int64_t& value) {
    const auto [next, error] = std::from_chars(at, end, value);
    at = next;
    return error == std::errc() && value >= 0;
  };
  if (!number(piece.first) || at == end || *at++ != ' ') return false;
  while (at != end) {
    std::int64_t side = 0;
    if (!number(side)) return false;
    piece.shape.push_back(side);
    if (at == end) return true;
    if (*at++ != 'x' || at == end) return false;
  }
  return true;
}

}  // namespace

std::int64_t share_begin(std::int64_t elements, int rank, int ranks) {
  return elements / ranks * rank + elements % ranks * rank / ranks;
}

std::string shard_name(int rank, int ranks) {
  char name[64];
  std::snprintf(name, sizeof name, "shard-%05d-of-%05d.safetensors", rank, ranks);
  return name;
}

StoredFile write_shard(const std::filesystem::path& path, std::span<const Piece> pieces) {
  std::vector<NamedTensorView> tensors;
  std::map<std::string, std::string> places;
  for (const Piece& piece : pieces) {
    tensors.push_back({piece.name, {DType::f32, {piece.count()}, piece.bytes}});
    places[piece.name] = place_text(piece);
  }
  write_safetensors(path, tensors, places);
  return {path.filename().string(), std::filesystem::file_size(path), hash_safetensors(tensors, places)};
}

std::vector<Piece> read_shard(const SafetensorsFile& file) {
  std::vector<Piece> pieces;
  for (const auto& [name, view] : file.tensors()) {
    const auto refuse = [&, &name = name](const char* reason) {
      fail(ErrorKind::input, "reading '", file.name(), "': tensor '", name, "' ", reason,
           ". The file is damaged or no part of a checkpoint");
    };
    if (view.dtype != DType::f32 || view.shape.size() != 1) refuse("is no list of fp32 numbers");
    Piece piece{.name = name, .shape = {}, .first = 0, .bytes = view.bytes};
    const auto place = file.metadata().find(name);
    if (place == file.metadata().end() || !read_place(place->second, piece))
      refuse("does not say which part of which tensor it is");
    const std::int64_t size = tensor_size(piece.shape);
    if (size < 0 || piece.first > size || piece.count() > size - piece.first)
      refuse("reaches beyond the tensor that it is part of");
    pieces.push_back(std::move(piece));
  }
  return pieces;
}

}  // namespace omni::checkpoint
