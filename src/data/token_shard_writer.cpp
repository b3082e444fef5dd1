#include <cstring>
#include <limits>
#include <memory>

#include "omni/core/error.h"
#include "omni/core/json_text.h"
#include "omni/core/random.h"
#include "omni/core/text_format.h"
#include "omni/data/token_shard.h"
#include "omni/geometry/camera.h"
#include "omni/sequence/vocabulary.h"
#include "token_shard_format.h"

namespace omni::data {
namespace {

// A flat array that is stored in the narrowest type for its vocabulary.
class CodeColumn {
 public:
  CodeColumn(std::string name, std::int64_t vocabulary) : name_(std::move(name)), vocabulary_(vocabulary) {}

  void push(std::int64_t value) {
    ensure(value >= 0 && value < vocabulary_, "the value ", value, " does not fit the column ", name_);
    const auto narrow = static_cast<std::int32_t>(value);
    const std::size_t width = dtype_size(code_dtype(vocabulary_));
    bytes_.resize(bytes_.size() + width);
    std::memcpy(bytes_.data() + bytes_.size() - width, &narrow, width);  // little-endian
    ++count_;
  }
  void push_all(const std::vector<std::int32_t>& values) {
    for (const std::int32_t value : values) push(value);
  }
  std::int64_t count() const { return count_; }
  NamedTensorView view(std::vector<std::int64_t> shape) const {
    return {name_, {code_dtype(vocabulary_), std::move(shape), bytes_}};
  }
  NamedTensorView view() const { return view({count_}); }

 private:
  std::string name_;
  std::int64_t vocabulary_;
  std::int64_t count_ = 0;
  std::vector<std::byte> bytes_;
};

constexpr std::int64_t kOffsetBound = std::numeric_limits<std::int32_t>::max();

// Strings of different lengths: bytes end to end and where each one starts.
class StringColumn {
 public:
  explicit StringColumn(const std::string& name)
      : offsets_(name + "_offsets", kOffsetBound), bytes_(name + "_bytes", 256) {
    offsets_.push(0);
  }
  void push(std::string_view text) {
    for (const char c : text) bytes_.push(static_cast<unsigned char>(c));
    offsets_.push(bytes_.count());
  }
  void append_to(std::vector<NamedTensorView>& tensors) const {
    tensors.push_back(offsets_.view());
    tensors.push_back(bytes_.view());
  }

 private:
  CodeColumn offsets_, bytes_;
};

void check_object(const TokenShardInfo& info, const TokenObject& object) {
  const auto holds = [&](std::size_t count, std::int64_t expected, std::string_view what) {
    ensure(static_cast<std::int64_t>(count) == expected, "the object ", object.id, " has ", count, " ", what,
           " and not ", expected);
  };
  ensure(info.tokens.text.present() || object.captions.empty(), "captions without a text vocabulary");
  holds(object.views.size(), info.views_per_object, "views");
  for (const TokenObject::View& view : object.views) {
    holds(view.codes.size(), info.tokens.image.codes(), "image codes");
  }
  holds(object.geometry.size(), info.tokens.shape.geometry_codes(), "geometry codes");
  holds(object.colour.size(), info.tokens.shape.colour_codes, "colour codes");
}

struct Columns {
  explicit Columns(const TokenShardInfo& info)
      : tokens("caption_tokens", std::max(info.tokens.text.vocabulary, 1)),
        view_codes("view_codes", std::max(info.tokens.image.vocabulary, 1)),
        geometry("geometry_codes", std::max(info.tokens.shape.geometry_vocabulary, 1)),
        colour("colour_codes", std::max(info.tokens.shape.colour_vocabulary, 1)) {
    caption_offsets.push(0);
    token_offsets.push(0);
  }

  void push(const TokenObject& object) {
    for (const TokenObject::CaptionTokens& caption : object.captions) {
      tokens.push_all(caption.tokens);
      token_offsets.push(tokens.count());
      kind.push(static_cast<std::int64_t>(caption.kind));
    }
    caption_offsets.push(kind.count());
    for (const TokenObject::View& view : object.views) {
      azimuth.push(view.azimuth);
      elevation.push(view.elevation);
      view_codes.push_all(view.codes);
    }
    geometry.push_all(object.geometry);
    colour.push_all(object.colour);
    size.push(object.size);
    for (const std::int32_t extent : object.box) box.push(extent);
    split.push(static_cast<std::int64_t>(object.split));
    id.push(object.id);
    class_name.push(object.class_name);
    attributes.push(json_text(nlohmann::json(object.attributes)));
  }

  std::vector<NamedTensorView> tensors(const TokenShardInfo& info, std::int64_t count) const {
    const std::int64_t views = info.views_per_object;
    std::vector<NamedTensorView> all = {caption_offsets.view(),
                                        token_offsets.view(),
                                        kind.view(),
                                        tokens.view(),
                                        azimuth.view({count, views}),
                                        elevation.view({count, views}),
                                        view_codes.view({count, views, info.tokens.image.codes()}),
                                        geometry.view({count, info.tokens.shape.geometry_codes()}),
                                        colour.view({count, info.tokens.shape.colour_codes}),
                                        size.view(),
                                        box.view({count, 3}),
                                        split.view()};
    id.append_to(all);
    class_name.append_to(all);
    attributes.append_to(all);
    return all;
  }

  CodeColumn caption_offsets{"caption_offsets", kOffsetBound},
      token_offsets{"caption_token_offsets", kOffsetBound};
  CodeColumn kind{kCaptionKindTensor, kStoredCaptionKinds}, tokens;
  CodeColumn azimuth{"view_azimuth", geometry::kAzimuthBins},
      elevation{"view_elevation", geometry::kElevationBins};
  CodeColumn view_codes, geometry, colour;
  CodeColumn size{"size", sequence::kSizeBins}, box{"box", sequence::kBoxBins}, split{"split", 5};
  StringColumn id{"id"}, class_name{"class"}, attributes{"attributes"};
};

std::map<std::string, std::string> metadata_of(const TokenShardInfo& info, std::int64_t count) {
  const tokenizers::TokenFormat& tokens = info.tokens;
  std::string lengths;
  for (const std::int64_t length : tokens.shape.geometry_lengths) {
    lengths += (lengths.empty() ? "" : ",") + std::to_string(length);
  }
  std::map<std::string, std::string> metadata = {
      {"format", std::string(kTokenShardFormat)},
      {"version", std::to_string(kTokenShardVersion)},
      {"objects", std::to_string(count)},
      {"text_vocabulary", std::to_string(tokens.text.vocabulary)},
      {"image_vocabulary", std::to_string(tokens.image.vocabulary)},
      {"geometry_vocabulary", std::to_string(tokens.shape.geometry_vocabulary)},
      {"colour_vocabulary", std::to_string(tokens.shape.colour_vocabulary)},
      {"views_per_object", std::to_string(info.views_per_object)},
      {"image_grid_side", std::to_string(tokens.image.grid_side)},
      {"geometry_codes", std::to_string(tokens.shape.geometry_codes())},
      {"geometry_grid_side", std::to_string(tokens.shape.geometry_grid_side)},
      {"geometry_lengths", lengths},
      {"colour_codes", std::to_string(tokens.shape.colour_codes)},
      {"colour_grid_side", std::to_string(tokens.shape.colour_grid_side)},
      {"text_tokenizer", hexadecimal(tokens.text.tokenizer)},
      {"image_tokenizer", hexadecimal(tokens.image.tokenizer)},
      {"shape_tokenizer", hexadecimal(tokens.shape.tokenizer)},
      {"source", hexadecimal(info.source)},
      {"source_name", info.source_name}};
  if (info.variation > 0) metadata["variation"] = shortest(info.variation);
  return metadata;
}

}  // namespace

void write_token_shard(const std::filesystem::path& path, const TokenShardInfo& info,
                       std::span<const TokenObject> objects) {
  Columns columns(info);
  for (const TokenObject& object : objects) {
    check_object(info, object);
    columns.push(object);
  }
  const auto count = static_cast<std::int64_t>(objects.size());
  const std::vector<NamedTensorView> tensors = columns.tensors(info, count);
  std::map<std::string, std::uint64_t> hashes;
  for (const NamedTensorView& tensor : tensors) hashes[tensor.name] = tensor_hash(tensor.name, tensor.view);
  std::uint64_t content = 0;
  for (const auto& [name, hash] : hashes) content = hash_combine(content, hash);
  std::map<std::string, std::string> metadata = metadata_of(info, count);
  std::uint64_t header = 0;
  for (const auto& [key, value] : metadata) {
    header = hash_combine(hash_combine(header, hash_string(key)), hash_string(value));
  }
  metadata["content"] = hexadecimal(hash_combine(header, content));
  write_safetensors(path, tensors, metadata);
}

}  // namespace omni::data
