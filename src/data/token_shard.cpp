#include "omni/data/token_shard.h"

#include <charconv>
#include <cstring>
#include <limits>

#include "omni/core/error.h"
#include "omni/core/json_text.h"
#include "omni/core/number.h"
#include "omni/core/random.h"
#include "omni/core/text_format.h"
#include "omni/data/procedural_world.h"
#include "omni/geometry/camera.h"
#include "omni/sequence/vocabulary.h"
#include "token_shard_format.h"

namespace omni::data {
namespace {

constexpr std::int64_t kOffsetBound = std::numeric_limits<std::int32_t>::max();

template <class Integer>
bool parse_number(std::string_view text, Integer& value, int base = 10) {
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  return code == std::errc() && end == text.data() + text.size();
}

}  // namespace

std::int32_t TokenShard::Codes::at(std::int64_t index) const {
  std::int32_t value = 0;
  std::memcpy(&value, data + static_cast<std::size_t>(index) * width, width);
  return value;
}

std::vector<std::int32_t> TokenShard::Codes::slice(std::int64_t first, std::int64_t count) const {
  std::vector<std::int32_t> values(static_cast<std::size_t>(count));
  for (std::int64_t i = 0; i < count; ++i) values[static_cast<std::size_t>(i)] = at(first + i);
  return values;
}

TokenShard::TokenShard(const std::filesystem::path& path) : file_(path) { open(); }
TokenShard::TokenShard(std::span<const std::byte> bytes, std::string name) : file_(bytes, std::move(name)) {
  open();
}

void TokenShard::reject(const std::string& reason) const {
  fail(ErrorKind::input, "opening the token shard ", name(), ": ", reason,
       ". Delete it and run the tokenization again.");
}

void TokenShard::open() {
  read_info();
  check_content();
  const tokenizers::TokenFormat& format = info_.tokens;
  const std::int64_t views = info_.views_per_object;
  const auto last = [&](const std::string& tensor) { return file_.at(tensor).element_count(); };
  const std::int64_t captions = last(kCaptionKindTensor);
  caption_offsets_ = offsets("caption_offsets", count_, captions);
  token_offsets_ = offsets("caption_token_offsets", captions, last("caption_tokens"));
  caption_kind_ = codes(kCaptionKindTensor, {captions}, kStoredCaptionKinds);
  tokens_ = codes("caption_tokens", {last("caption_tokens")}, format.text.vocabulary);
  azimuth_ = codes("view_azimuth", {count_, views}, geometry::kAzimuthBins);
  elevation_ = codes("view_elevation", {count_, views}, geometry::kElevationBins);
  views_ = codes("view_codes", {count_, views, format.image.codes()}, format.image.vocabulary);
  geometry_ =
      codes("geometry_codes", {count_, format.shape.geometry_codes()}, format.shape.geometry_vocabulary);
  colour_ = codes("colour_codes", {count_, format.shape.colour_codes}, format.shape.colour_vocabulary);
  size_ = codes("size", {count_}, sequence::kSizeBins);
  box_ = codes("box", {count_, 3}, sequence::kBoxBins);
  split_ = codes("split", {count_}, 5);
  id_offsets_ = offsets("id_offsets", count_, last("id_bytes"));
  id_bytes_ = codes("id_bytes", {last("id_bytes")}, 256);
  class_offsets_ = offsets("class_offsets", count_, last("class_bytes"));
  class_bytes_ = codes("class_bytes", {last("class_bytes")}, 256);
  attribute_offsets_ = offsets("attributes_offsets", count_, last("attributes_bytes"));
  attribute_bytes_ = codes("attributes_bytes", {last("attributes_bytes")}, 256);
}

void TokenShard::read_info() {
  const auto& metadata = file_.metadata();
  const auto text = [&](const std::string& key) -> const std::string& {
    const auto found = metadata.find(key);
    if (found == metadata.end()) reject("its header has no \"" + key + "\"");
    return found->second;
  };
  const auto number = [&](const std::string& key, std::int64_t largest) {
    std::int64_t value = -1;
    if (!parse_number(text(key), value) || value < 0 || value > largest)
      reject("its \"" + key + "\" is impossible");
    return value;
  };
  const auto hash = [&](const std::string& key) {
    std::uint64_t value = 0;
    if (!parse_number(text(key), value, 16)) reject("its \"" + key + "\" is not a fingerprint");
    return value;
  };
  const auto format = metadata.find("format");
  if (format == metadata.end() || format->second != kTokenShardFormat) reject("it is not a token shard");
  if (number("version", kOffsetBound) != kTokenShardVersion)
    reject("it has another format version than this program");
  count_ = number("objects", kOffsetBound);
  const auto vocabulary = [&](const char* key) {
    return static_cast<std::int32_t>(number(key, kMaximumVocabulary));
  };
  tokenizers::TokenFormat& tokens = info_.tokens;
  tokens.text = {.vocabulary = vocabulary("text_vocabulary"), .tokenizer = hash("text_tokenizer")};
  tokens.image = {.vocabulary = vocabulary("image_vocabulary"),
                  .grid_side = number("image_grid_side", 1024),
                  .tokenizer = hash("image_tokenizer")};
  const std::int64_t geometry_codes = number("geometry_codes", kMaximumCodes);
  tokens.shape = {.geometry_vocabulary = vocabulary("geometry_vocabulary"),
                  .geometry_lengths = {},
                  .geometry_grid_side = number("geometry_grid_side", 1024),
                  .colour_vocabulary = vocabulary("colour_vocabulary"),
                  .colour_codes = number("colour_codes", kMaximumCodes),
                  .colour_grid_side = number("colour_grid_side", 1024),
                  .tokenizer = hash("shape_tokenizer")};
  info_.views_per_object = number("views_per_object", 1024);
  info_.source = hash("source");
  info_.source_name = text("source_name");
  if (metadata.contains("variation") &&
      (!read_number(text("variation"), kVariations, info_.variation).empty() || info_.variation == 0)) {
    reject("its \"variation\" is impossible");
  }
  std::string_view lengths = text("geometry_lengths");
  while (!lengths.empty()) {
    const std::size_t comma = std::min(lengths.find(','), lengths.size());
    std::int64_t length = 0;
    if (!parse_number(lengths.substr(0, comma), length) || length <= tokens.shape.geometry_codes() ||
        length > geometry_codes) {
      reject("its \"geometry_lengths\" are impossible");
    }
    tokens.shape.geometry_lengths.push_back(length);
    lengths.remove_prefix(std::min(comma + 1, lengths.size()));
  }
  if (tokens.shape.geometry_codes() != geometry_codes)
    reject("its longest geometry length is not the number of geometry codes");
}

void TokenShard::check_content() {
  std::uint64_t header = 0, content = 0;
  for (const auto& [key, value] : file_.metadata()) {
    if (key == "content") continue;
    header = hash_combine(hash_combine(header, hash_string(key)), hash_string(value));
  }
  for (const auto& [name, view] : file_.tensors()) content = hash_combine(content, tensor_hash(name, view));
  const auto stored = file_.metadata().find("content");
  fingerprint_ = hash_combine(header, content);
  if (stored == file_.metadata().end() || stored->second != hexadecimal(fingerprint_)) {
    reject("its content does not fit its hash: it is damaged");
  }
}

TokenShard::Codes TokenShard::codes(const std::string& tensor, std::vector<std::int64_t> shape,
                                    std::int64_t vocabulary) const {
  const TensorView& view = file_.at(tensor);
  if (view.dtype != code_dtype(vocabulary) || view.shape != shape) {
    reject("the tensor \"" + tensor + "\" has another type or shape than its header says");
  }
  const Codes codes{view.bytes.data(), dtype_size(view.dtype)};
  const std::int64_t count = view.element_count();
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int32_t value = codes.at(i);
    if (value < 0 || value >= vocabulary)
      reject("the tensor \"" + tensor + "\" has a code outside its vocabulary");
  }
  return codes;
}

TokenShard::Codes TokenShard::offsets(const std::string& tensor, std::int64_t count,
                                      std::int64_t last) const {
  const TensorView& view = file_.at(tensor);
  if (view.dtype != DType::i32 || view.shape != std::vector<std::int64_t>{count + 1}) {
    reject("the tensor \"" + tensor + "\" has another type or shape than its header says");
  }
  const Codes codes{view.bytes.data(), dtype_size(view.dtype)};
  std::int32_t previous = 0;
  for (std::int64_t i = 0; i <= count; ++i) {
    const std::int32_t value = codes.at(i);
    if (value < previous || value > last || (i == 0 && value != 0)) {
      reject("the offsets \"" + tensor + "\" point outside their data");
    }
    previous = value;
  }
  if (previous != last) reject("the offsets \"" + tensor + "\" do not cover their data");
  return codes;
}

std::int64_t TokenShard::caption_count(std::int64_t object) const {
  return caption_offsets_.at(object + 1) - caption_offsets_.at(object);
}
std::int64_t TokenShard::caption_length(std::int64_t object, std::int64_t caption) const {
  const std::int64_t index = caption_offsets_.at(object) + caption;
  return token_offsets_.at(index + 1) - token_offsets_.at(index);
}
CaptionKind TokenShard::caption_kind(std::int64_t object, std::int64_t caption) const {
  return static_cast<CaptionKind>(caption_kind_.at(caption_offsets_.at(object) + caption));
}
std::vector<std::int32_t> TokenShard::caption(std::int64_t object, std::int64_t caption) const {
  return tokens_.slice(token_offsets_.at(caption_offsets_.at(object) + caption),
                       caption_length(object, caption));
}
std::pair<std::int32_t, std::int32_t> TokenShard::view_bins(std::int64_t object, std::int64_t view) const {
  const std::int64_t index = object * info_.views_per_object + view;
  return {azimuth_.at(index), elevation_.at(index)};
}
TokenObject::View TokenShard::view(std::int64_t object, std::int64_t view) const {
  const auto [azimuth, elevation] = view_bins(object, view);
  const std::int64_t codes = info_.tokens.image.codes();
  return {azimuth, elevation, views_.slice((object * info_.views_per_object + view) * codes, codes)};
}
std::vector<std::int32_t> TokenShard::geometry(std::int64_t object) const {
  return geometry_.slice(object * info_.tokens.shape.geometry_codes(), info_.tokens.shape.geometry_codes());
}
std::vector<std::int32_t> TokenShard::colour(std::int64_t object) const {
  return colour_.slice(object * info_.tokens.shape.colour_codes, info_.tokens.shape.colour_codes);
}
std::int32_t TokenShard::size_bin(std::int64_t object) const { return size_.at(object); }
std::array<std::int32_t, 3> TokenShard::box_bins(std::int64_t object) const {
  return {box_.at(object * 3), box_.at(object * 3 + 1), box_.at(object * 3 + 2)};
}
Split TokenShard::split(std::int64_t object) const { return static_cast<Split>(split_.at(object)); }

std::string_view TokenShard::text(const Codes& offsets, const Codes& bytes, std::int64_t object) const {
  const std::int32_t first = offsets.at(object);
  return {reinterpret_cast<const char*>(bytes.data) + first,
          static_cast<std::size_t>(offsets.at(object + 1) - first)};
}
std::string_view TokenShard::id(std::int64_t object) const { return text(id_offsets_, id_bytes_, object); }
std::string_view TokenShard::class_name(std::int64_t object) const {
  return text(class_offsets_, class_bytes_, object);
}

std::map<std::string, std::string> TokenShard::attributes(std::int64_t object) const {
  const nlohmann::json root = parse_json_or_discard(text(attribute_offsets_, attribute_bytes_, object));
  if (!root.is_object()) reject("the attributes of an object are not JSON");
  std::map<std::string, std::string> attributes;
  for (const auto& [key, value] : root.items()) {
    if (!value.is_string()) reject("an attribute of an object is not a text");
    attributes[key] = value.get<std::string>();
  }
  return attributes;
}

TokenObject TokenShard::object(std::int64_t object) const {
  TokenObject result{.id = std::string(id(object)),
                     .class_name = std::string(class_name(object)),
                     .attributes = attributes(object),
                     .split = split(object),
                     .geometry = geometry(object),
                     .colour = colour(object),
                     .size = size_bin(object),
                     .box = box_bins(object)};
  for (std::int64_t i = 0; i < caption_count(object); ++i) {
    result.captions.push_back({caption(object, i), caption_kind(object, i)});
  }
  for (std::int64_t i = 0; i < info_.views_per_object; ++i) result.views.push_back(view(object, i));
  return result;
}

}  // namespace omni::data
