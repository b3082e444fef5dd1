#include "ply_file.h"

#include <cmath>
#include <map>
#include <optional>

#include "omni/core/error.h"
#include "read_mtl.h"
#include "text_scanner.h"

namespace omni::geometry {
namespace {

std::optional<PlyScalar> scalar_of(std::string_view word) {
  using enum PlyScalar;
  static const std::map<std::string_view, PlyScalar> names = {
      {"char", i8},    {"int8", i8},     {"uchar", u8},   {"uint8", u8},   {"short", i16}, {"int16", i16},
      {"ushort", u16}, {"uint16", u16},  {"int", i32},    {"int32", i32},  {"uint", u32},  {"uint32", u32},
      {"float", f32},  {"float32", f32}, {"double", f64}, {"float64", f64}};
  const auto at = names.find(word);
  if (at == names.end()) return std::nullopt;
  return at->second;
}

PlyProperty parse_property(std::string_view line, const std::string& name) {
  PlyProperty property;
  std::string_view word = next_word(line);
  if (word == "list") {
    property.is_list = true;
    const auto count_type = scalar_of(next_word(line));
    if (!count_type) refuse_ply(name, "a list property has an unknown count type");
    property.count_type = *count_type;
    word = next_word(line);
  }
  const auto type = scalar_of(word);
  if (!type)
    refuse_ply(name, concat("the property type \"", std::string(word.substr(0, 32)), "\" is unknown"));
  property.type = *type;
  property.name = std::string(next_word(line));
  return property;
}

PlyElement parse_element(std::string_view line, const std::string& name) {
  PlyElement element;
  element.name = std::string(next_word(line));
  const auto count = parse_number<std::uint64_t>(next_word(line));
  if (!count) refuse_ply(name, "an element has no count");
  element.count = std::size_t(*count);
  return element;
}

PlyFormat parse_format(std::string_view word, const std::string& name) {
  if (word == "ascii") return PlyFormat::ascii;
  if (word == "binary_little_endian") return PlyFormat::little_endian;
  if (word == "binary_big_endian") return PlyFormat::big_endian;
  refuse_ply(name, "its format is unknown");
}

// Indices and colours, of which most of a file is.
std::optional<double> small_whole_number(std::string_view word) {
  constexpr std::size_t kMostDigits = 9;
  if (word.size() > kMostDigits) return std::nullopt;
  std::uint32_t value = 0;
  for (const char c : word) {
    if (c < '0' || c > '9') return std::nullopt;
    value = value * 10 + std::uint32_t(c - '0');
  }
  return value;
}

// Where lines end with "\r" alone, a "\n" behind the last of them belongs to the values.
std::size_t body_offset(std::string_view whole, std::string_view rest) {
  const std::size_t first = whole.find_first_of("\r\n"), at = std::size_t(rest.data() - whole.data());
  const bool lone_returns = whole[first] == '\r' && whole[first + 1] != '\n';
  return lone_returns && at >= 2 && whole[at - 2] == '\r' && whole[at - 1] == '\n' ? at - 1 : at;
}

}  // namespace

void refuse_ply(const std::string& name, const std::string& reason) {
  fail(ErrorKind::input, "cannot read PLY ", name, ": ", reason, ". The file is broken or truncated.");
}

bool is_ply(std::span<const std::byte> bytes) {
  std::string_view text = as_text(bytes.first(std::min<std::size_t>(bytes.size(), 64))), line;
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  return next_line(text, line) && !text.empty() && next_word(line) == "ply" && next_word(line).empty();
}

PlyHeader parse_ply_header(std::span<const std::byte> bytes, const std::string& name) {
  if (as_text(bytes).starts_with("\xEF\xBB\xBF")) bytes = bytes.subspan(3);
  const std::string_view whole = as_text(bytes);
  std::string_view text = whole, line;
  PlyHeader header;
  if (!next_line(text, line) || line.substr(0, 3) != "ply")
    refuse_ply(name, "it does not begin with \"ply\"");
  bool has_format = false;
  while (next_line(text, line)) {
    const std::string_view keyword = next_word(line);
    if (keyword == "end_header") {
      if (!has_format) refuse_ply(name, "its header names no format");
      header.body = bytes.subspan(body_offset(whole, text));
      return header;
    }
    if (keyword == "format") {
      header.format = parse_format(next_word(line), name);
      has_format = true;
    } else if (keyword == "element") {
      header.elements.push_back(parse_element(line, name));
    } else if (keyword == "property") {
      if (header.elements.empty()) refuse_ply(name, "a property comes before any element");
      header.elements.back().properties.push_back(parse_property(line, name));
    } else if (keyword == "comment" && equal_words(next_word(line), "texturefile")) {
      header.textures.emplace_back(mtl_name(line));
    }
  }
  refuse_ply(name, "its header has no end");
}

PlyValues::PlyValues(const PlyHeader& header, const std::string& name)
    : format_(header.format), name_(name), bytes_(header.body), text_(as_text(header.body)) {}

double PlyValues::read_word() {
  const std::string_view word = next_word(text_);
  if (word.empty()) refuse_ply(name_, "it ends before its last element");
  if (const auto whole = small_whole_number(word)) return *whole;
  const auto value = parse_number<double>(word);
  if (value) return *value;
  if (word.find(".#") != std::string_view::npos) return NAN;
  refuse_ply(name_, concat("\"", std::string(word.substr(0, 32)), "\" is not a number"));
}

std::size_t PlyValues::read_list_length(const PlyProperty& property) {
  const double length = read(property.count_type);
  if (!(length >= 0) || length != std::floor(length) ||
      length > double(remaining() / fewest_bytes(property.type)))
    refuse_ply(name_, "a list is longer than the file");
  return std::size_t(length);
}

void PlyValues::check_count(const PlyElement& element) const {
  std::size_t fewest = 0;
  for (const PlyProperty& p : element.properties) fewest += fewest_bytes(p.is_list ? p.count_type : p.type);
  if (fewest > 0 && element.count > remaining() / fewest)
    refuse_ply(name_,
               concat("its header promises ", element.count, " of \"", element.name, "\", more than fit"));
}

void PlyValues::skip(const PlyElement& element) {
  if (element.properties.empty()) return;  // of which any number takes no bytes
  for (std::size_t i = 0; i < element.count; ++i)
    for (const PlyProperty& property : element.properties) {
      std::size_t values = property.is_list ? read_list_length(property) : 1;
      for (; values > 0; --values) read(property.type);
    }
}

}  // namespace omni::geometry
