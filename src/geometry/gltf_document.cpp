#include "gltf_document.h"

#include <algorithm>
#include <cstring>
#include <tuple>

#include "mesh_formats.h"
#include "omni/core/error.h"
#include "omni/core/files.h"
#include "omni/core/json_text.h"
#include "omni/core/utf8.h"
#include "omni/image/texture_image.h"
#include "references.h"
#include "text_scanner.h"

namespace omni::geometry {
namespace {

constexpr std::uint32_t kJsonChunk = 0x4E4F534A, kBinaryChunk = 0x004E4942;
constexpr std::size_t kDeepestJson = 64;
// Of meshoptimizer's codecs: what a block takes at least, and how often its bytes it can come to.
constexpr std::size_t kSmallestBlock = 64, kMostShrunk = 64;

std::uint32_t read_u32(std::span<const std::byte> bytes, std::size_t offset) {
  std::uint32_t value;
  std::memcpy(&value, bytes.data() + offset, sizeof value);
  return value;
}

bool is_data_uri(const std::string& uri) { return uri.rfind("data:", 0) == 0; }

// Empty where the text is not base64.
std::optional<std::vector<std::byte>> decode_base64(std::string_view text) {
  while (!text.empty() && text.back() == '=') text.remove_suffix(1);
  std::vector<std::byte> bytes;
  bytes.reserve(text.size() * 3 / 4);
  std::uint32_t bits = 0;
  int held = 0;
  for (const char c : text) {
    std::uint32_t value;
    if (c >= 'A' && c <= 'Z')
      value = std::uint32_t(c - 'A');
    else if (c >= 'a' && c <= 'z')
      value = std::uint32_t(c - 'a' + 26);
    else if (c >= '0' && c <= '9')
      value = std::uint32_t(c - '0' + 52);
    else if (c == '+' || c == '-')
      value = 62;
    else if (c == '/' || c == '_')
      value = 63;
    else
      return std::nullopt;
    bits = (bits << 6) | value;
    held += 6;
    if (held >= 8) {
      held -= 8;
      bytes.push_back(std::byte((bits >> held) & 0xff));
    }
  }
  return bytes;
}

// Recursive readers of JSON values would overflow the stack on "[[[[…".
bool nests_too_deeply(std::span<const std::byte> text) {
  std::size_t depth = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = char(text[i]);
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      if (++depth > kDeepestJson) return true;
    } else if ((c == '}' || c == ']') && depth > 0) {
      --depth;
    }
  }
  return false;
}

// What is not UTF-8 is taken byte by byte: names of things, mostly, which no geometry hangs on.
std::string utf8_of_latin1(std::string_view text) {
  std::string out;
  out.reserve(text.size() + text.size() / 8);
  while (!text.empty()) {
    const std::size_t valid = std::min(find_invalid_utf8(text), text.size());
    out += text.substr(0, valid);
    text.remove_prefix(valid);
    if (text.empty()) break;
    const auto byte = static_cast<unsigned char>(text.front());
    out += static_cast<char>(0xC0 | byte >> 6);
    out += static_cast<char>(0x80 | (byte & 0x3F));
    text.remove_prefix(1);
  }
  return out;
}

const char* const kMeshoptNames[] = {"EXT_meshopt_compression", "KHR_meshopt_compression"};

// The compression of a buffer view or null, under either name.
const nlohmann::json* meshopt_of(const nlohmann::json& view, const char*& extension) {
  const nlohmann::json* extensions = json_member(view, "extensions");
  if (!extensions) return nullptr;
  for (const char* name : kMeshoptNames)
    if (const nlohmann::json* json = json_member(*extensions, name)) {
      extension = name;
      return json;
    }
  return nullptr;
}

}  // namespace

GltfDocument::GltfDocument(std::span<const std::byte> bytes, std::string name, std::filesystem::path folder,
                           ReadNotes& notes)
    : name_(std::move(name)), folder_(std::move(folder)), notes_(notes), byte_count_(bytes.size()) {
  if (bytes.size() >= 4 && std::memcmp(bytes.data(), "glTF", 4) == 0) {
    split_glb(bytes);
  } else {
    parse(bytes);
  }
  buffers_.resize(count("buffers"));
  images_.resize(count("images"));
}

void GltfDocument::split_glb(std::span<const std::byte> bytes) {
  if (bytes.size() < 20) refuse("it ends inside the GLB header");
  if (read_u32(bytes, 4) != 2)
    fail(ErrorKind::input, "cannot read mesh ", name_, ": GLB version ", read_u32(bytes, 4),
         " is not known. Export it as glTF 2.0.");
  const std::size_t total = read_u32(bytes, 8);
  if (total < 20 || total > bytes.size())
    refuse("its header promises ", total, " bytes, and ", bytes.size(), " are there");
  bytes = bytes.first(total);
  std::span<const std::byte> text;
  for (std::size_t at = 12; at + 8 <= total;) {
    const std::size_t length = read_u32(bytes, at);
    const std::uint32_t type = read_u32(bytes, at + 4);
    if (length > total - at - 8) refuse("a chunk of ", length, " bytes leaves the file");
    const auto chunk = bytes.subspan(at + 8, length);
    if (at == 12 && type != kJsonChunk) refuse("its first chunk is not JSON");
    if (at == 12) text = chunk;
    if (type == kBinaryChunk && !has_binary_chunk_) {
      binary_chunk_ = chunk;
      has_binary_chunk_ = true;
    }
    at += 8 + length;
  }
  parse(text);
}

void GltfDocument::parse(std::span<const std::byte> text) {
  if (nests_too_deeply(text)) refuse("its JSON nests more than ", kDeepestJson, " levels deep");
  std::string as_utf8;
  if (!is_utf8(as_text(text))) {
    as_utf8 = utf8_of_latin1(as_text(text));
    text = std::as_bytes(std::span(as_utf8));
    notes_.add("is read as if its names were Latin-1", "its text is not UTF-8");
  }
  std::string_view json = as_text(text);
  if (json.starts_with("\xef\xbb\xbf")) json.remove_prefix(3);
  json_ = parse_json_or_discard(json);
  if (json_.is_discarded() || !json_.is_object()) refuse("its JSON is not well-formed");
  const Json* asset = json_member(json_, "asset");
  const std::string version = asset ? json_string(*asset, "version", name_) : "";
  if (version.rfind("2.", 0) != 0)
    fail(ErrorKind::input, "cannot read mesh ", name_, ": it is not glTF 2.0 (version \"", version,
         "\"). Export it as glTF 2.0.");
}

std::size_t GltfDocument::count(const char* section) const {
  const Json* array = json_member(json_, section);
  if (!array) return 0;
  if (!array->is_array()) refuse("\"", section, "\" is not an array");
  return array->size();
}

const GltfDocument::Json& GltfDocument::item(const char* section, std::int64_t index) const {
  if (index < 0 || std::size_t(index) >= count(section))
    refuse("it refers to element ", index, " of \"", section, "\", which has ", count(section));
  return (*json_member(json_, section))[std::size_t(index)];
}

std::vector<std::byte> GltfDocument::load_uri(const std::string& uri, const char* what) const {
  if (!is_data_uri(uri)) return read_file_bytes(resolve_reference(uri, folder_, name_));
  const std::size_t comma = uri.find(',');
  const std::size_t marker = uri.find(";base64");
  if (comma == std::string::npos || marker == std::string::npos || marker > comma)
    refuse("a data URI of its ", what, " is not base64");
  auto bytes = decode_base64(std::string_view(uri).substr(comma + 1));
  if (!bytes) refuse("a data URI of its ", what, " is not base64");
  return std::move(*bytes);
}

std::span<const std::byte> GltfDocument::buffer(std::int64_t index) {
  const Json& json = item("buffers", index);
  const std::int64_t length = json_integer(json, "byteLength", -1, name_);
  const std::string uri = json_string(json, "uri", name_);
  std::span<const std::byte> bytes;
  if (uri.empty() && index == 0 && has_binary_chunk_) {
    bytes = binary_chunk_;
  } else if (uri.empty()) {
    refuse("buffer ", index, " has no data");
  } else {
    auto& loaded = buffers_[std::size_t(index)];
    if (!loaded) {
      loaded = load_uri(uri, "buffers");
      byte_count_ += loaded->size();
    }
    bytes = *loaded;
  }
  if (length < 0 || std::size_t(length) > bytes.size())
    refuse("buffer ", index, " should have ", length, " bytes and has ", bytes.size());
  return bytes.first(std::size_t(length));
}

std::span<const std::byte> GltfDocument::range(const Json& json, const std::string& what) {
  const std::span<const std::byte> bytes = buffer(json_integer(json, "buffer", -1, name_));
  const std::int64_t offset = json_integer(json, "byteOffset", 0, name_);
  const std::int64_t length = json_integer(json, "byteLength", -1, name_);
  if (offset < 0 || length < 0 || std::size_t(offset) > bytes.size() ||
      std::size_t(length) > bytes.size() - std::size_t(offset))
    refuse(what, " leaves its buffer");
  return bytes.subspan(std::size_t(offset), std::size_t(length));
}

std::span<const std::byte> GltfDocument::view(std::int64_t index, std::size_t& stride) {
  const Json& json = item("bufferViews", index);
  const std::int64_t step = json_integer(json, "byteStride", 0, name_);
  if (step < 0 || step > 252) refuse("buffer view ", index, " has a stride of ", step, " bytes");
  stride = std::size_t(step);
  const char* extension = nullptr;
  const Json* compressed = meshopt_of(json, extension);
  if (!compressed) return range(json, concat("buffer view ", index));
  if (decoded_.empty()) decode_views();
  if (stride == 0) stride = std::size_t(json_integer(*compressed, "byteStride", 0, name_));
  return decoded_[decoded_of_.at(index)];
}

// All that are compressed at once, since they are decoded in another process.
void GltfDocument::decode_views() {
  std::vector<MeshoptView> compressed;
  using Source =
      std::tuple<const std::byte*, std::size_t, std::size_t, std::size_t, std::string, std::string>;
  std::map<Source, std::size_t> known;
  std::size_t decoded_bytes = 0;
  for (std::size_t i = 0; i < count("bufferViews"); ++i) {
    const char* extension = nullptr;
    const Json* json = meshopt_of(item("bufferViews", std::int64_t(i)), extension);
    if (!json) continue;
    const std::string what = concat("buffer view ", i, ", compressed with ", extension, ",");
    MeshoptView view;
    view.bytes = range(*json, what);
    const std::int64_t count = json_integer(*json, "count", -1, name_);
    const std::int64_t stride = json_integer(*json, "byteStride", -1, name_);
    // A group of 16 equal bytes takes a quarter of a byte.
    if (count < 0 || stride <= 0 || stride > 256 ||
        std::size_t(count) > (kSmallestBlock + view.bytes.size()) * kMostShrunk / std::size_t(stride))
      refuse(what, " has an impossible count or stride");
    view.count = std::size_t(count);
    view.stride = std::size_t(stride);
    view.mode = json_string(*json, "mode", name_);
    view.filter = json_string(*json, "filter", name_);
    view.extension = extension;
    const Source source{view.bytes.data(), view.bytes.size(), view.count,
                        view.stride,       view.mode,         view.filter};
    const auto [at, is_new] = known.try_emplace(source, compressed.size());
    decoded_of_[std::int64_t(i)] = at->second;
    if (!is_new) continue;
    // Views may overlap: each may be small enough, and their sum without end.
    decoded_bytes += view.count * view.stride;
    if (decoded_bytes > byte_count_ * kMostShrunk)
      refuse(what, " and those before it come to ", decoded_bytes, " bytes, too many for its size");
    compressed.push_back(std::move(view));
  }
  decoded_ = decode_meshopt(compressed, byte_count_, name_);
  byte_count_ += decoded_bytes;
}

const DracoMesh* GltfDocument::draco_mesh(const Json& primitive) {
  const Json* extensions = json_member(primitive, "extensions");
  if (!extensions || !json_member(*extensions, kDraco) || has_plain_data(primitive)) return nullptr;
  if (draco_.empty()) decode_draco_primitives();
  return &draco_.at(&primitive);
}

// Of a primitive with the same data uncompressed, which is read instead.
bool GltfDocument::has_plain_data(const Json& primitive) const {
  const Json* attributes = json_member(primitive, "attributes");
  const std::int64_t positions = attributes ? json_integer(*attributes, "POSITION", -1, name_) : -1;
  const std::int64_t indices = json_integer(primitive, "indices", -1, name_);
  const auto has_view = [&](std::int64_t accessor) {
    return accessor >= 0 && json_member(item("accessors", accessor), "bufferView") != nullptr;
  };
  return has_view(positions) && (indices < 0 || has_view(indices));
}

// Many encoders leave it to the accessor to say that integers stand for 0 .. 1.
void GltfDocument::normalise_as_accessors(const Json& primitive, DracoMesh& mesh) const {
  const Json* attributes = json_member(primitive, "attributes");
  if (!attributes) return;
  for (DracoMesh::Attribute& attribute : mesh.attributes) {
    const std::int64_t accessor = json_integer(*attributes, attribute.semantic.c_str(), -1, name_);
    if (accessor < 0 || attribute.normalised) continue;
    const float scale = normalised_scale(accessor);
    if (scale == 1) continue;
    for (float& value : attribute.values) value = std::max(value * scale, -1.0f);
  }
}

void GltfDocument::decode_draco_primitives() {
  std::vector<DracoPrimitive> compressed;
  std::vector<const Json*> places;
  for (std::size_t m = 0; m < count("meshes"); ++m) {
    const Json* primitives = json_member(item("meshes", std::int64_t(m)), "primitives");
    if (!primitives || !primitives->is_array()) continue;
    for (const Json& primitive : *primitives) {
      const Json* extensions = json_member(primitive, "extensions");
      const Json* json = extensions ? json_member(*extensions, kDraco) : nullptr;
      if (!json || has_plain_data(primitive)) continue;
      DracoPrimitive& request = compressed.emplace_back();
      std::size_t stride = 0;
      request.bytes = view(json_integer(*json, "bufferView", -1, name_), stride);
      const Json* attributes = json_member(*json, "attributes");
      if (attributes && attributes->is_object())
        for (const auto& [semantic, id] : attributes->items())
          request.attributes.emplace_back(semantic, json_integer(*attributes, semantic.c_str(), -1, name_));
      places.push_back(&primitive);
    }
  }
  auto decoded = decode_draco(compressed, byte_count_, name_);
  for (std::size_t i = 0; i < places.size(); ++i) {
    normalise_as_accessors(*places[i], decoded[i]);
    draco_.emplace(places[i], std::move(decoded[i]));
  }
}

std::shared_ptr<const image::Image> GltfDocument::load_image(const Json& json, std::int64_t index) {
  const std::string uri = json_string(json, "uri", name_);
  const std::string label = concat(name_, " (image ", index, ")");
  if (is_data_uri(uri))
    return pixels_.spend(name_, [&] { return image::decode_texture(load_uri(uri, "images"), label); });
  // Images may name the same picture.
  if (!uri.empty()) {
    const std::filesystem::path path = find_optional_file(uri, folder_, {}, name_);
    const auto [at, is_new] = pictures_.try_emplace(path.string());
    if (is_new) at->second = pixels_.spend(name_, [&] { return image::read_texture(path); });
    return at->second;
  }
  const std::int64_t source = json_integer(json, "bufferView", -1, name_);
  const auto [at, is_new] = pictures_.try_emplace(concat("buffer view ", source));
  std::size_t stride = 0;
  if (is_new)
    at->second = pixels_.spend(name_, [&] { return image::decode_texture(view(source, stride), label); });
  return at->second;
}

std::shared_ptr<const image::Image> GltfDocument::image(std::int64_t index) {
  const Json& json = item("images", index);
  auto& slot = images_[std::size_t(index)];
  if (slot) return *slot;
  slot.emplace(nullptr);
  try {
    slot = load_image(json, index);
  } catch (const Error& error) {
    notes_.add(kWithoutTextures, error.what());
  }
  return *slot;
}

}  // namespace omni::geometry
