#include "gltf_document.h"

#include <algorithm>
#include <cstring>

#include "mesh_formats.h"
#include "omni/core/error.h"
#include "omni/core/files.h"
#include "omni/core/log.h"

namespace omni::geometry {
namespace {

constexpr std::uint32_t kJsonChunk = 0x4E4F534A, kBinaryChunk = 0x004E4942;
// Elements that no bytes vouch for, as sparse accessors without a base have them; more in larger files.
constexpr std::size_t kMaximumUnbacked = std::size_t{1} << 16;
constexpr std::size_t kDeepestJson = 64;

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

std::size_t component_size(std::int64_t component_type) {
  switch (component_type) {
    case 5120:
    case 5121:
      return 1;
    case 5122:
    case 5123:
      return 2;
    case 5125:
    case 5126:
      return 4;
    default:
      return 0;
  }
}

int components_of(const std::string& type) {
  if (type == "SCALAR") return 1;
  if (type == "VEC2") return 2;
  if (type == "VEC3") return 3;
  if (type == "VEC4") return 4;
  return 0;
}

template <class T>
T load(const std::byte* bytes) {
  T value;
  std::memcpy(&value, bytes, sizeof value);
  return value;
}

float to_float(const std::byte* bytes, std::int64_t component_type, bool normalised) {
  switch (component_type) {
    case 5120: {
      const float v = load<std::int8_t>(bytes);
      return normalised ? std::max(v / 127, -1.0f) : v;
    }
    case 5121:
      return load<std::uint8_t>(bytes) / (normalised ? 255.0f : 1.0f);
    case 5122: {
      const float v = load<std::int16_t>(bytes);
      return normalised ? std::max(v / 32767, -1.0f) : v;
    }
    case 5123:
      return load<std::uint16_t>(bytes) / (normalised ? 65535.0f : 1.0f);
    case 5125:
      return float(load<std::uint32_t>(bytes));
    default:
      return load<float>(bytes);
  }
}

std::uint32_t to_index(const std::byte* bytes, std::int64_t component_type) {
  switch (component_type) {
    case 5121:
      return load<std::uint8_t>(bytes);
    case 5123:
      return load<std::uint16_t>(bytes);
    default:
      return load<std::uint32_t>(bytes);
  }
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

}  // namespace

template <class... Parts>
void GltfDocument::refuse(const Parts&... parts) const {
  fail(ErrorKind::input, "cannot read mesh ", name_, ": ", parts..., ". The file is broken or truncated.");
}

struct GltfDocument::AccessorLayout {
  const Json* json = nullptr;
  std::int64_t buffer_view = -1;
  std::size_t offset = 0, count = 0, element_bytes = 0;
  std::int64_t component_type = 0;
  int components = 0;
  bool normalised = false;
};

GltfDocument::GltfDocument(std::span<const std::byte> bytes, std::string name, std::filesystem::path folder)
    : name_(std::move(name)), folder_(std::move(folder)), byte_count_(bytes.size()) {
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
  const char* begin = reinterpret_cast<const char*>(text.data());
  const char* end = begin + text.size();
  if (text.size() >= 3 && std::memcmp(begin, "\xef\xbb\xbf", 3) == 0) begin += 3;
  json_ = Json::parse(begin, end, nullptr, false);
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

std::span<const std::byte> GltfDocument::view(std::int64_t index, std::size_t& stride) {
  const Json& json = item("bufferViews", index);
  const std::span<const std::byte> bytes = buffer(json_integer(json, "buffer", -1, name_));
  const std::int64_t offset = json_integer(json, "byteOffset", 0, name_);
  const std::int64_t length = json_integer(json, "byteLength", -1, name_);
  const std::int64_t step = json_integer(json, "byteStride", 0, name_);
  if (offset < 0 || length < 0 || std::size_t(offset) > bytes.size() ||
      std::size_t(length) > bytes.size() - std::size_t(offset))
    refuse("buffer view ", index, " leaves its buffer");
  if (step < 0 || step > 252) refuse("buffer view ", index, " has a stride of ", step, " bytes");
  stride = std::size_t(step);
  return bytes.subspan(std::size_t(offset), std::size_t(length));
}

GltfDocument::AccessorLayout GltfDocument::layout_of(std::int64_t accessor) const {
  AccessorLayout layout;
  layout.json = &item("accessors", accessor);
  const Json& json = *layout.json;
  layout.buffer_view = json_integer(json, "bufferView", -1, name_);
  layout.component_type = json_integer(json, "componentType", 0, name_);
  layout.components = components_of(json_string(json, "type", name_));
  const std::int64_t offset = json_integer(json, "byteOffset", 0, name_);
  const std::int64_t count = json_integer(json, "count", -1, name_);
  const Json* normalised = json_member(json, "normalized");
  layout.normalised = normalised && normalised->is_boolean() && normalised->get<bool>();
  const std::size_t size = component_size(layout.component_type);
  if (offset < 0 || count < 0 || size == 0 || layout.components == 0)
    refuse("accessor ", accessor, " has an impossible type, count or offset");
  layout.offset = std::size_t(offset);
  layout.count = std::size_t(count);
  layout.element_bytes = size * std::size_t(layout.components);
  if (layout.buffer_view < 0 && layout.count > std::max(kMaximumUnbacked, byte_count_))
    refuse("accessor ", accessor, " asks for ", layout.count, " elements without data");
  return layout;
}

// Calls convert(element index, first byte of the element), after checking that all elements lie in their
// view.
template <class Convert>
void GltfDocument::read_elements(const AccessorLayout& layout, const Convert& convert) {
  std::size_t stride = 0;
  const std::span<const std::byte> bytes = view(layout.buffer_view, stride);
  if (stride == 0) stride = layout.element_bytes;
  if (stride < layout.element_bytes)
    refuse("buffer view ", layout.buffer_view, " has a stride of ", stride, " bytes for elements of ",
           layout.element_bytes);
  if (layout.count == 0) return;
  const std::size_t available = bytes.size() < layout.offset ? 0 : bytes.size() - layout.offset;
  if (available < layout.element_bytes || layout.count - 1 > (available - layout.element_bytes) / stride)
    refuse("an accessor of ", layout.count, " elements leaves buffer view ", layout.buffer_view);
  for (std::size_t i = 0; i < layout.count; ++i) convert(i, bytes.data() + layout.offset + i * stride);
}

// Calls convert for the elements that a sparse accessor replaces.
template <class Convert>
void GltfDocument::apply_sparse(const AccessorLayout& layout, const Convert& convert) {
  const Json* sparse = json_member(*layout.json, "sparse");
  if (!sparse) return;
  const Json *indices = json_member(*sparse, "indices"), *values = json_member(*sparse, "values");
  if (!indices || !values) refuse("a sparse accessor lacks its indices or values");
  AccessorLayout where;
  where.json = sparse;
  where.buffer_view = json_integer(*indices, "bufferView", -1, name_);
  where.component_type = json_integer(*indices, "componentType", 0, name_);
  where.components = 1;
  AccessorLayout what = layout;
  what.buffer_view = json_integer(*values, "bufferView", -1, name_);
  const std::int64_t count = json_integer(*sparse, "count", -1, name_);
  const std::int64_t where_offset = json_integer(*indices, "byteOffset", 0, name_);
  const std::int64_t what_offset = json_integer(*values, "byteOffset", 0, name_);
  const bool unsigned_type =
      where.component_type == 5121 || where.component_type == 5123 || where.component_type == 5125;
  if (count < 0 || std::size_t(count) > layout.count || where_offset < 0 || what_offset < 0 || !unsigned_type)
    refuse("a sparse accessor has an impossible type, count or offset");
  where.count = what.count = std::size_t(count);
  where.offset = std::size_t(where_offset);
  what.offset = std::size_t(what_offset);
  where.element_bytes = component_size(where.component_type);
  std::vector<std::uint32_t> targets(where.count);
  read_elements(where,
                [&](std::size_t i, const std::byte* at) { targets[i] = to_index(at, where.component_type); });
  for (const std::uint32_t target : targets)
    if (target >= layout.count) refuse("a sparse accessor replaces element ", target, " of ", layout.count);
  read_elements(what, [&](std::size_t i, const std::byte* at) { convert(targets[i], at); });
}

std::size_t GltfDocument::element_count(std::int64_t accessor) const { return layout_of(accessor).count; }

std::vector<float> GltfDocument::read_floats(std::int64_t accessor, int& components) {
  const AccessorLayout layout = layout_of(accessor);
  components = layout.components;
  const std::size_t size = component_size(layout.component_type);
  std::vector<float> values;
  const auto convert = [&](std::size_t i, const std::byte* at) {
    for (int c = 0; c < layout.components; ++c)
      values[i * std::size_t(layout.components) + std::size_t(c)] =
          to_float(at + std::size_t(c) * size, layout.component_type, layout.normalised);
  };
  const auto allocate = [&] { values.resize(layout.count * std::size_t(layout.components)); };
  if (layout.buffer_view < 0)
    allocate();
  else
    read_elements(layout, [&](std::size_t i, const std::byte* at) {
      if (i == 0) allocate();  // the bytes are known to be there by now
      convert(i, at);
    });
  apply_sparse(layout, convert);
  return values;
}

std::vector<std::uint32_t> GltfDocument::read_indices(std::int64_t accessor) {
  const AccessorLayout layout = layout_of(accessor);
  const bool unsigned_type =
      layout.component_type == 5121 || layout.component_type == 5123 || layout.component_type == 5125;
  if (layout.components != 1 || !unsigned_type) refuse("accessor ", accessor, " does not hold indices");
  std::vector<std::uint32_t> values;
  const auto convert = [&](std::size_t i, const std::byte* at) {
    values[i] = to_index(at, layout.component_type);
  };
  if (layout.buffer_view < 0)
    values.resize(layout.count);
  else
    read_elements(layout, [&](std::size_t i, const std::byte* at) {
      if (i == 0) values.resize(layout.count);
      convert(i, at);
    });
  apply_sparse(layout, convert);
  return values;
}

std::shared_ptr<const image::Image> GltfDocument::image(std::int64_t index) {
  const Json& json = item("images", index);
  auto& slot = images_[std::size_t(index)];
  if (slot) return *slot;
  slot.emplace(nullptr);
  const std::string uri = json_string(json, "uri", name_);
  const std::string label = concat(name_, " (image ", index, ")");
  if (!uri.empty() && !is_data_uri(uri))
    resolve_reference(uri, folder_, name_);  // refused, not merely missing
  try {
    std::vector<std::byte> loaded;
    std::span<const std::byte> bytes;
    std::size_t stride = 0;
    if (uri.empty()) {
      bytes = view(json_integer(json, "bufferView", -1, name_), stride);
    } else {
      loaded = load_uri(uri, "images");
      bytes = loaded;
    }
    slot = std::make_shared<const image::Image>(image::decode_image(bytes, label));
  } catch (const Error& error) {
    log_warning("mesh ", name_, " is read without one of its textures: ", error.what());
  }
  return *slot;
}

}  // namespace omni::geometry
