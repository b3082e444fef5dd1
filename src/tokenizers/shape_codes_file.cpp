#include "omni/tokenizers/shape_codes_file.h"

#include <limits>

#include "omni/core/config.h"
#include "omni/core/error.h"
#include "omni/core/files.h"
#include "omni/core/npy.h"

namespace omni::tokenizers {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kLargestCode = std::numeric_limits<std::int32_t>::max();

void describe(ConfigVisitor& visitor, std::vector<std::int64_t>& geometry,
              std::vector<std::int64_t>& colour) {
  constexpr NumberRange kCodes{.minimum = 0, .maximum = static_cast<double>(kLargestCode)};
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
    if (value < 0 || value > kLargestCode)
      fail(ErrorKind::input, "reading codes from ", path, ": ", value, " is no code. Codes count from 0");
    codes.push_back(static_cast<std::int32_t>(value));
  }
  return codes;
}

fs::path colour_file(const fs::path& path) { return fs::path(path).replace_extension(".colour.npy"); }

[[noreturn]] void refuse_ending(const fs::path& path) {
  fail(ErrorKind::usage, "choosing the file of codes ", path, ": its ending is not known. Use .yaml or .npy");
}

}  // namespace

std::string shape_codes_yaml(const ShapeCodes& codes) {
  std::vector<std::int64_t> geometry(codes.geometry.begin(), codes.geometry.end());
  std::vector<std::int64_t> colour(codes.colour.begin(), codes.colour.end());
  return config_to_yaml([&](ConfigVisitor& visitor) { describe(visitor, geometry, colour); });
}

void write_shape_codes(const fs::path& path, const ShapeCodes& codes) {
  if (path.extension() == ".yaml")
    return write_file_atomically(path, std::string_view(shape_codes_yaml(codes)));
  if (path.extension() != ".npy") refuse_ending(path);
  // The colours first: whoever finds the geometry finds both.
  if (!codes.colour.empty())
    write_file_atomically(colour_file(path), std::span<const std::byte>(to_npy(codes.colour)));
  write_file_atomically(path, std::span<const std::byte>(to_npy(codes.geometry)));
}

ShapeCodes read_shape_codes(const fs::path& path) {
  ShapeCodes codes;
  if (path.extension() == ".yaml") {
    std::vector<std::int64_t> geometry, colour;
    read_stored_config(path, [&](ConfigVisitor& visitor) { describe(visitor, geometry, colour); });
    codes.geometry.assign(geometry.begin(), geometry.end());
    codes.colour.assign(colour.begin(), colour.end());
    return codes;
  }
  if (path.extension() != ".npy") refuse_ending(path);
  codes.geometry = read_npy_codes(path);
  if (fs::exists(colour_file(path))) codes.colour = read_npy_codes(colour_file(path));
  return codes;
}

}  // namespace omni::tokenizers
