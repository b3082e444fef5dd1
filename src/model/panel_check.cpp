#include "omni/model/panel_check.h"

#include <algorithm>
#include <fstream>
#include <sstream>

#include "omni/core/error.h"
#include "omni/core/hash.h"
#include "omni/core/interrupt.h"
#include "omni/core/random.h"
#include "omni/core/weight_source.h"
#include "omni/model/panel_file.h"
#include "panel_hashes.h"

namespace omni::model {
namespace {

namespace fs = std::filesystem;

// Of pieces spread evenly over the file: two fine-tunes of a model can have equal sizes, headers and times.
std::uint64_t hash_of_pieces(const fs::path& file, std::uint64_t size) {
  constexpr std::uint64_t kPieces = 64, kPieceBytes = 4096;
  std::ifstream stream(file, std::ios::binary);
  std::string piece(static_cast<std::size_t>(std::min(size, kPieceBytes)), '\0');
  StreamHash hash;
  for (std::uint64_t i = 0; i < kPieces; ++i) {
    stream.seekg(static_cast<std::streamoff>((size - piece.size()) * i / (kPieces - 1)));
    stream.read(piece.data(), static_cast<std::streamsize>(piece.size()));
    hash.add(piece);
  }
  if (!stream) fail(ErrorKind::io, "cannot read '", file.string(), "'. Check the disk");
  return hash.value();
}

}  // namespace

std::string header_of(const fs::path& file, std::uint64_t size) {
  constexpr std::uint64_t kLongest = 100'000'000;
  std::ifstream stream(file, std::ios::binary);
  std::uint64_t length = 0;
  stream.read(reinterpret_cast<char*>(&length), sizeof length);
  std::string header(static_cast<std::size_t>(std::min({length, size, kLongest})), '\0');
  stream.read(header.data(), static_cast<std::streamsize>(header.size()));
  if (!stream) fail(ErrorKind::input, "reading '", file.string(), "': it is no whole safetensors file");
  return header;
}

std::string stamp_of_files(const std::vector<fs::path>& files) {
  std::ostringstream stamp;
  stamp << std::hex;
  for (const fs::path& file : files) {
    const std::uint64_t size = fs::file_size(file);
    stamp << ' ' << size << ' ' << fs::last_write_time(file).time_since_epoch().count() << ' '
          << hash_string(header_of(file, size)) << ' ' << hash_of_pieces(file, size);
  }
  return stamp.str();
}

TensorDescription PanelHashes::description(std::size_t tensors) {
  return {kName, DType::i64, {static_cast<std::int64_t>(tensors) + 1}};
}

void PanelHashes::add(std::string_view bytes) {
  values_.push_back(static_cast<std::int64_t>(hash_string(bytes)));
}

void PanelHashes::set_header(std::string_view header) {
  values_.front() = static_cast<std::int64_t>(hash_string(header));
}

namespace {

// In the order in which they lie there.
std::vector<std::pair<std::string, TensorView>> tensors_in_order(const SafetensorsFile& file) {
  std::vector<std::pair<std::string, TensorView>> tensors(file.tensors().begin(), file.tensors().end());
  std::sort(tensors.begin(), tensors.end(),
            [](const auto& a, const auto& b) { return a.second.bytes.data() < b.second.bytes.data(); });
  return tensors;
}

std::string damage_of(const fs::path& path, const SafetensorsFile& file) {
  auto tensors = tensors_in_order(file);
  const std::vector<std::int64_t> written = file.at(PanelHashes::kName).to_vector<std::int64_t>();
  std::erase_if(tensors, [](const auto& tensor) { return tensor.first == PanelHashes::kName; });
  if (written.size() != tensors.size() + 1) return "its hashes are of another number of tensors";
  const auto is = [&](std::size_t i, std::string_view bytes) {
    throw_if_interrupted();
    return static_cast<std::int64_t>(hash_string(bytes)) == written[i];
  };
  if (!is(0, header_of(path, fs::file_size(path)))) return "its header is not as it was written";
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const std::span<const std::byte> bytes = tensors[i].second.bytes;
    if (!is(i + 1, {reinterpret_cast<const char*>(bytes.data()), bytes.size()}))
      return concat("the tensor '", tensors[i].first, "' is not as it was written");
  }
  return "";
}

PanelCheck check(const fs::path& path, const std::string& stamp) {
  const SafetensorsFile file(path);
  // What sampling would not read, but make anew.
  if (!file.contains(PanelHashes::kName)) return {path, PanelState::outdated, "an earlier version made it"};
  if (std::string damage = damage_of(path, file); !damage.empty())
    return {path, PanelState::damaged, std::move(damage)};
  const auto made_of = file.metadata().find("stamp");
  if (made_of == file.metadata().end() || !made_of->second.ends_with(stamp))
    return {path, PanelState::outdated, "it is of another state of the weights"};
  return {path, PanelState::sound, {}};
}

}  // namespace

std::vector<PanelCheck> check_panels(const fs::path& weights) {
  const std::vector<fs::path> files = WeightSource(weights).files();
  const std::string stamp = stamp_of_files(files);
  std::vector<PanelCheck> checks;
  using kernels::DecodeFormat;
  for (const DecodeFormat format : {DecodeFormat::fp32, DecodeFormat::bf16, DecodeFormat::int8})
    for (const fs::path& place : panel_file_places(files.front(), format)) {
      std::error_code unreachable;
      if (!fs::is_regular_file(place, unreachable)) continue;
      try {
        checks.push_back(check(place, stamp));
      } catch (const Error& error) {
        if (error.kind() == ErrorKind::interrupted || error.kind() == ErrorKind::stopped) throw;
        checks.push_back({place, PanelState::damaged, error.what()});
      }
    }
  return checks;
}

}  // namespace omni::model
