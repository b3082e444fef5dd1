#include "omni/tokenizers/shape_codes_file.h"

#include <algorithm>
#include <limits>

#include "omni/core/config.h"
#include "omni/core/error.h"
#include "omni/core/files.h"
#include "omni/core/json_text.h"
#include "omni/core/npy.h"

namespace omni::tokenizers {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kMaximumCode = std::numeric_limits<std::int32_t>::max();

void describe(ConfigVisitor& visitor, std::vector<std::int64_t>& geometry,
              std::vector<std::int64_t>& colour) {
  constexpr NumberRange kCodes{.minimum = 0, .maximum = static_cast<double>(kMaximumCode)};
  visitor.integers("geometry", geometry, kCodes);
  visitor.integers("colour", colour, kCodes);
}

std::vector<std::int32_t> read_npy_codes(const fs::path& path) {
  const IntegerArray array = parse_npy(read_file_bytes(path), path.string());
  if (array.shape.size() != 1)
    fail(ErrorKind::input, "reading codes from ", path, ": an array of ", array.shape.size(),
         " dimensions. Save the codes of one shape as a one-dimensional array");
  std::vector<std::int32_t> codes;
  codes.reserve(array.values.size());
  for (const std::int64_t value : array.values) {
    if (value < 0 || value > kMaximumCode)
      fail(ErrorKind::input, "reading codes from ", path, ": ", value, " is no code. Codes count from 0");
    codes.push_back(static_cast<std::int32_t>(value));
  }
  return codes;
}

fs::path colour_file(const fs::path& path) { return fs::path(path).replace_extension(".colour.npy"); }

[[noreturn]] void refuse_ending(const fs::path& path) {
  fail(ErrorKind::usage, "choosing the file of codes ", path,
       ": its ending is not known. Use .yaml, .npy or .json");
}

// Of any list that a program might write of one shape: far more than there are codes in any layout.
constexpr std::uint64_t kMaximumJsonBytes = std::uint64_t{64} << 20;

[[noreturn]] void refuse_json(const std::string& name, std::string_view reason) {
  fail(ErrorKind::input, "reading codes from ", name, ": ", reason,
       ". Give a file that `omni sample --codes` wrote");
}

std::vector<std::int32_t> json_codes(const nlohmann::json& segment, const char* key,
                                     const std::string& name) {
  const auto found = segment.find(key);
  if (found == segment.end() || !found->is_array())
    refuse_json(name, concat("its shape has no list \"", key, "\""));
  std::vector<std::int32_t> codes;
  codes.reserve(found->size());
  for (const nlohmann::json& value : *found) {
    // A negative number is no unsigned one.
    if (!value.is_number_unsigned() || value.get<std::uint64_t>() > static_cast<std::uint64_t>(kMaximumCode))
      refuse_json(name, concat("\"", key, "\" holds something that is no code"));
    codes.push_back(value.get<std::int32_t>());
  }
  return codes;
}

bool is_shape(const nlohmann::json& segment) {
  if (!segment.is_object()) return false;
  const auto modality = segment.find("modality");
  return modality != segment.end() && modality->is_string() &&
         modality->get_ref<const std::string&>() == "shape";
}

}  // namespace

std::string shape_codes_yaml(const ShapeCodes& codes) {
  std::vector<std::int64_t> geometry(codes.geometry.begin(), codes.geometry.end());
  std::vector<std::int64_t> colour(codes.colour.begin(), codes.colour.end());
  return config_to_yaml([&](ConfigVisitor& visitor) { describe(visitor, geometry, colour); });
}

std::string shape_segment_json(const StoredShape& shape) {
  nlohmann::ordered_json segment;
  segment["modality"] = "shape";
  if (shape.longest_side_m) segment["longest_side_m"] = *shape.longest_side_m;
  segment["geometry"] = shape.codes.geometry;
  segment["colour"] = shape.codes.colour;
  return json_text(segment);
}

StoredShape parse_shape_segments(std::string_view json, const std::string& name) {
  const nlohmann::json segments = parse_json_or_discard(json);
  if (!segments.is_array()) refuse_json(name, "it is no JSON list of segments");
  const auto last = std::find_if(segments.rbegin(), segments.rend(), is_shape);
  if (last == segments.rend()) refuse_json(name, "none of its segments is a shape");
  StoredShape shape{.codes = {json_codes(*last, "geometry", name), json_codes(*last, "colour", name)},
                    .longest_side_m = {}};
  if (const auto side = last->find("longest_side_m"); side != last->end()) {
    const double metres = side->is_number() ? side->get<double>() : 0;
    constexpr double kLargest = 1e6;
    if (!(metres >= 1 / kLargest && metres <= kLargest)) refuse_json(name, "\"longest_side_m\" is no length");
    shape.longest_side_m = static_cast<float>(metres);
  }
  return shape;
}

void write_shape_codes(const fs::path& path, const ShapeCodes& codes) {
  if (path.extension() == ".yaml")
    return write_file_atomically(path, std::string_view(shape_codes_yaml(codes)));
  if (path.extension() == ".json")
    return write_file_atomically(
        path, std::string_view("[" + shape_segment_json({.codes = codes, .longest_side_m = {}}) + "]\n"));
  if (path.extension() != ".npy") refuse_ending(path);
  // The colours first: whoever finds the geometry finds both.
  if (!codes.colour.empty())
    write_file_atomically(colour_file(path), std::span<const std::byte>(to_npy(codes.colour)));
  write_file_atomically(path, std::span<const std::byte>(to_npy(codes.geometry)));
}

StoredShape read_stored_shape(const fs::path& path) {
  if (path.extension() == ".json")
    return parse_shape_segments(read_file_text(path, kMaximumJsonBytes), path.string());
  StoredShape shape;
  if (path.extension() == ".yaml") {
    std::vector<std::int64_t> geometry, colour;
    read_stored_config(path, [&](ConfigVisitor& visitor) { describe(visitor, geometry, colour); });
    shape.codes.geometry.assign(geometry.begin(), geometry.end());
    shape.codes.colour.assign(colour.begin(), colour.end());
    return shape;
  }
  if (path.extension() != ".npy") refuse_ending(path);
  shape.codes.geometry = read_npy_codes(path);
  if (fs::exists(colour_file(path))) shape.codes.colour = read_npy_codes(colour_file(path));
  return shape;
}

ShapeCodes read_shape_codes(const fs::path& path) { return read_stored_shape(path).codes; }

}  // namespace omni::tokenizers
