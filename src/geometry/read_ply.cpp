#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <map>

#include "mesh_formats.h"
#include "omni/core/error.h"
#include "polygon.h"
#include "text_scanner.h"

namespace omni::geometry {
namespace {

enum class Format { ascii, little_endian, big_endian };
enum class Scalar { i8, u8, i16, u16, i32, u32, f32, f64 };

struct Property {
  std::string name;
  Scalar type = Scalar::f32;
  bool is_list = false;
  Scalar count_type = Scalar::u8;
};
struct Element {
  std::string name;
  std::size_t count = 0;
  std::vector<Property> properties;
};
struct Header {
  Format format = Format::ascii;
  std::vector<Element> elements;
  std::span<const std::byte> body;
};

[[noreturn]] void refuse(const std::string& name, const std::string& reason) {
  fail(ErrorKind::input, "cannot read PLY ", name, ": ", reason, ". The file is broken or truncated.");
}

std::optional<Scalar> scalar_of(std::string_view word) {
  static const std::map<std::string_view, Scalar> names = {
      {"char", Scalar::i8},   {"int8", Scalar::i8},     {"uchar", Scalar::u8},   {"uint8", Scalar::u8},
      {"short", Scalar::i16}, {"int16", Scalar::i16},   {"ushort", Scalar::u16}, {"uint16", Scalar::u16},
      {"int", Scalar::i32},   {"int32", Scalar::i32},   {"uint", Scalar::u32},   {"uint32", Scalar::u32},
      {"float", Scalar::f32}, {"float32", Scalar::f32}, {"double", Scalar::f64}, {"float64", Scalar::f64}};
  const auto at = names.find(word);
  if (at == names.end()) return std::nullopt;
  return at->second;
}

std::size_t size_of(Scalar type) {
  switch (type) {
    case Scalar::i8:
    case Scalar::u8:
      return 1;
    case Scalar::i16:
    case Scalar::u16:
      return 2;
    case Scalar::f64:
      return 8;
    default:
      return 4;
  }
}

Property parse_property(std::string_view line, const std::string& name) {
  Property property;
  std::string_view word = next_word(line);
  if (word == "list") {
    property.is_list = true;
    const auto count_type = scalar_of(next_word(line));
    if (!count_type) refuse(name, "a list property has an unknown count type");
    property.count_type = *count_type;
    word = next_word(line);
  }
  const auto type = scalar_of(word);
  if (!type) refuse(name, concat("the property type \"", std::string(word.substr(0, 32)), "\" is unknown"));
  property.type = *type;
  property.name = std::string(next_word(line));
  return property;
}

Header parse_header(std::span<const std::byte> bytes, const std::string& name) {
  std::string_view text = as_text(bytes), line;
  Header header;
  if (!next_line(text, line) || line.substr(0, 3) != "ply") refuse(name, "it does not begin with \"ply\"");
  bool has_format = false;
  while (next_line(text, line)) {
    const std::string_view keyword = next_word(line);
    if (keyword == "end_header") {
      if (!has_format) refuse(name, "its header names no format");
      header.body = bytes.subspan(std::size_t(text.data() - as_text(bytes).data()));
      return header;
    }
    if (keyword == "format") {
      const std::string_view format = next_word(line);
      has_format = true;
      if (format == "ascii")
        header.format = Format::ascii;
      else if (format == "binary_little_endian")
        header.format = Format::little_endian;
      else if (format == "binary_big_endian")
        header.format = Format::big_endian;
      else
        refuse(name, "its format is unknown");
    } else if (keyword == "element") {
      Element& element = header.elements.emplace_back();
      element.name = std::string(next_word(line));
      const auto count = parse_number<std::uint64_t>(next_word(line));
      if (!count) refuse(name, "an element has no count");
      element.count = std::size_t(*count);
    } else if (keyword == "property") {
      if (header.elements.empty()) refuse(name, "a property comes before any element");
      header.elements.back().properties.push_back(parse_property(line, name));
    }
  }
  refuse(name, "its header has no end");
}

// Reads one scalar after the other, from text or from bytes of either order.
class ScalarReader {
 public:
  ScalarReader(const Header& header, const std::string& name)
      : format_(header.format), name_(name), bytes_(header.body), text_(as_text(header.body)) {}

  std::size_t remaining() const { return format_ == Format::ascii ? text_.size() : bytes_.size(); }
  std::size_t fewest_bytes(Scalar type) const { return format_ == Format::ascii ? 1 : size_of(type); }

  double read(Scalar type) {
    if (format_ == Format::ascii) {
      const std::string_view word = next_word(text_);
      if (word.empty()) refuse(name_, "it ends before its last element");
      const auto value = parse_number<double>(word);
      if (!value) refuse(name_, concat("\"", std::string(word.substr(0, 32)), "\" is not a number"));
      return *value;
    }
    const std::size_t size = size_of(type);
    if (bytes_.size() < size) refuse(name_, "it ends before its last element");
    std::byte raw[8];
    std::memcpy(raw, bytes_.data(), size);
    bytes_ = bytes_.subspan(size);
    if (format_ == Format::big_endian) std::reverse(raw, raw + size);
    return convert(raw, type);
  }

 private:
  template <class T>
  static double load(const std::byte* raw) {
    T value;
    std::memcpy(&value, raw, sizeof value);
    return double(value);
  }
  static double convert(const std::byte* raw, Scalar type) {
    switch (type) {
      case Scalar::i8:
        return load<std::int8_t>(raw);
      case Scalar::u8:
        return load<std::uint8_t>(raw);
      case Scalar::i16:
        return load<std::int16_t>(raw);
      case Scalar::u16:
        return load<std::uint16_t>(raw);
      case Scalar::i32:
        return load<std::int32_t>(raw);
      case Scalar::u32:
        return load<std::uint32_t>(raw);
      case Scalar::f32:
        return load<float>(raw);
      default:
        return load<double>(raw);
    }
  }

  Format format_;
  const std::string& name_;
  std::span<const std::byte> bytes_;
  std::string_view text_;
};

// A count is believed only as far as the bytes that are left could hold it.
void check_count(const Element& element, const ScalarReader& reader, const std::string& name) {
  std::size_t fewest = 0;
  for (const Property& p : element.properties)
    fewest += reader.fewest_bytes(p.is_list ? p.count_type : p.type);
  if (fewest > 0 && element.count > reader.remaining() / fewest)
    refuse(name, concat("its header promises ", element.count, " of \"", element.name, "\", more than fit"));
}

std::size_t read_list_length(ScalarReader& reader, const Property& property, const std::string& name) {
  const double length = reader.read(property.count_type);
  if (!(length >= 0) || length != std::floor(length) ||
      length > double(reader.remaining() / reader.fewest_bytes(property.type)))
    refuse(name, "a list is longer than the file");
  return std::size_t(length);
}

struct VertexTarget {
  enum class Kind { position, normal, colour } kind;
  std::size_t axis;
};

std::optional<VertexTarget> target_of(const std::string& property) {
  using Kind = VertexTarget::Kind;
  static const std::map<std::string, VertexTarget> names = {
      {"x", {Kind::position, 0}},         {"y", {Kind::position, 1}},
      {"z", {Kind::position, 2}},         {"nx", {Kind::normal, 0}},
      {"ny", {Kind::normal, 1}},          {"nz", {Kind::normal, 2}},
      {"red", {Kind::colour, 0}},         {"green", {Kind::colour, 1}},
      {"blue", {Kind::colour, 2}},        {"r", {Kind::colour, 0}},
      {"g", {Kind::colour, 1}},           {"b", {Kind::colour, 2}},
      {"diffuse_red", {Kind::colour, 0}}, {"diffuse_green", {Kind::colour, 1}},
      {"diffuse_blue", {Kind::colour, 2}}};
  const auto at = names.find(property);
  if (at == names.end()) return std::nullopt;
  return at->second;
}

double colour_scale(Scalar type) {
  switch (type) {
    case Scalar::f32:
    case Scalar::f64:
      return 1;
    case Scalar::u16:
      return 1.0 / 65535;
    default:
      return 1.0 / 255;
  }
}

void read_vertices(ScalarReader& reader, const Element& element, Mesh& mesh, const std::string& name) {
  bool has_position = false, has_normal = false, has_colour = false;
  std::vector<std::optional<VertexTarget>> targets;
  for (const Property& property : element.properties) {
    targets.push_back(property.is_list ? std::nullopt : target_of(property.name));
    if (!targets.back()) continue;
    has_position |= targets.back()->kind == VertexTarget::Kind::position;
    has_normal |= targets.back()->kind == VertexTarget::Kind::normal;
    has_colour |= targets.back()->kind == VertexTarget::Kind::colour;
  }
  if (!has_position) refuse(name, "its vertices have no positions");
  mesh.positions.resize(element.count);
  if (has_normal) mesh.normals.resize(element.count);
  if (has_colour) mesh.colours.resize(element.count);
  for (std::size_t i = 0; i < element.count; ++i) {
    for (std::size_t k = 0; k < targets.size(); ++k) {
      const Property& property = element.properties[k];
      std::size_t values = property.is_list ? read_list_length(reader, property, name) : 1;
      for (; values > 0; --values) {
        const double value = reader.read(property.type);
        if (!targets[k]) continue;
        const std::size_t axis = targets[k]->axis;
        switch (targets[k]->kind) {
          case VertexTarget::Kind::position:
            mesh.positions[i][axis] = float(value);
            break;
          case VertexTarget::Kind::normal:
            mesh.normals[i][axis] = float(value);
            break;
          case VertexTarget::Kind::colour:
            mesh.colours[i][axis] = float(value * colour_scale(property.type));
            break;
        }
      }
    }
  }
}

void read_faces(ScalarReader& reader, const Element& element, Mesh& mesh, const std::string& name) {
  if (element.properties.empty()) return;  // of which any number takes no bytes
  std::vector<std::uint32_t> polygon;
  std::vector<Vec3> corners;
  std::vector<std::array<std::uint32_t, 3>> triangles;
  for (std::size_t i = 0; i < element.count; ++i) {
    for (const Property& property : element.properties) {
      if (!property.is_list) {
        reader.read(property.type);
        continue;
      }
      const bool wanted = property.name == "vertex_indices" || property.name == "vertex_index";
      polygon.clear();
      for (std::size_t left = read_list_length(reader, property, name); left > 0; --left) {
        const double index = reader.read(property.type);
        if (!wanted) continue;
        if (!(index >= 0) || index >= double(mesh.positions.size()) || index != std::floor(index))
          refuse(name, concat("a face names vertex ", index, " of ", mesh.positions.size()));
        polygon.push_back(std::uint32_t(index));
      }
      if (polygon.size() < 3) continue;
      corners.clear();
      triangles.clear();
      for (const std::uint32_t v : polygon) corners.push_back(mesh.positions[v]);
      triangulate_polygon(corners, triangles);
      for (const auto& t : triangles) mesh.triangles.push_back({polygon[t[0]], polygon[t[1]], polygon[t[2]]});
    }
  }
}

void skip_element(ScalarReader& reader, const Element& element, const std::string& name) {
  if (element.properties.empty()) return;
  for (std::size_t i = 0; i < element.count; ++i)
    for (const Property& property : element.properties) {
      std::size_t values = property.is_list ? read_list_length(reader, property, name) : 1;
      for (; values > 0; --values) reader.read(property.type);
    }
}

}  // namespace

Mesh read_ply(std::span<const std::byte> bytes, const std::string& name) {
  const Header header = parse_header(bytes, name);
  ScalarReader reader(header, name);
  Mesh mesh;
  for (const Element& element : header.elements) {
    check_count(element, reader, name);
    if (element.name == "vertex" && mesh.positions.empty())
      read_vertices(reader, element, mesh, name);
    else if (element.name == "face")
      read_faces(reader, element, mesh, name);
    else
      skip_element(reader, element, name);
  }
  finish_read_mesh(mesh, name);
  return mesh;
}

}  // namespace omni::geometry
