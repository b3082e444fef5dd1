#include <algorithm>
#include <cstring>

#include "gltf_document.h"

namespace omni::geometry {
namespace {

// Elements that no bytes vouch for, as sparse accessors without a base have them; more in larger files.
constexpr std::size_t kMaximumUnbacked = std::size_t{1} << 16;

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
  if (type == "MAT4") return 16;
  return 0;
}

template <class T>
T load(const std::byte* bytes) {
  T value;
  std::memcpy(&value, bytes, sizeof value);
  return value;
}

// What stands for 1 among normalised integers; 0: these are none.
float largest_of(std::int64_t component_type) {
  switch (component_type) {
    case 5120:
      return 127;
    case 5121:
      return 255;
    case 5122:
      return 32767;
    case 5123:
      return 65535;
    default:
      return 0;
  }
}

float plain_value(const std::byte* bytes, std::int64_t component_type) {
  switch (component_type) {
    case 5120:
      return load<std::int8_t>(bytes);
    case 5121:
      return load<std::uint8_t>(bytes);
    case 5122:
      return load<std::int16_t>(bytes);
    case 5123:
      return load<std::uint16_t>(bytes);
    case 5125:
      return float(load<std::uint32_t>(bytes));
    default:
      return load<float>(bytes);
  }
}

float to_float(const std::byte* bytes, std::int64_t component_type, bool normalised) {
  const float value = plain_value(bytes, component_type);
  const float largest = normalised ? largest_of(component_type) : 0;
  return largest == 0 ? value : std::max(value / largest, -1.0f);
}

bool is_normalised(const nlohmann::json& accessor) {
  const nlohmann::json* normalised = json_member(accessor, "normalized");
  return normalised && normalised->is_boolean() && normalised->get<bool>();
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

}  // namespace

struct GltfDocument::AccessorLayout {
  const Json* json = nullptr;
  std::int64_t buffer_view = -1;
  std::size_t offset = 0, count = 0, element_bytes = 0;
  std::int64_t component_type = 0;
  int components = 0;
  bool normalised = false;
};

GltfDocument::AccessorLayout GltfDocument::layout_of(std::int64_t accessor) const {
  AccessorLayout layout;
  layout.json = &item("accessors", accessor);
  const Json& json = *layout.json;
  layout.buffer_view = json_integer(json, "bufferView", -1, name_);
  layout.component_type = json_integer(json, "componentType", 0, name_);
  layout.components = components_of(json_string(json, "type", name_));
  const std::int64_t offset = json_integer(json, "byteOffset", 0, name_);
  const std::int64_t count = json_integer(json, "count", -1, name_);
  layout.normalised = is_normalised(json);
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

float GltfDocument::normalised_scale(std::int64_t accessor) const {
  const Json& json = item("accessors", accessor);
  const float largest = is_normalised(json) ? largest_of(json_integer(json, "componentType", 0, name_)) : 0;
  return largest == 0 ? 1 : 1 / largest;
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

}  // namespace omni::geometry
