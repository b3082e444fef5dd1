#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace omni::geometry {

// The parts of a PLY file (Turk, "The PLY polygon file format", 1994): what its header says, and the values
// behind it. Everything throws Error(input) that names the file.

enum class PlyFormat { ascii, little_endian, big_endian };
enum class PlyScalar { i8, u8, i16, u16, i32, u32, f32, f64 };

struct PlyProperty {
  std::string name;
  PlyScalar type = PlyScalar::f32;
  bool is_list = false;
  PlyScalar count_type = PlyScalar::u8;
};
struct PlyElement {
  std::string name;
  std::size_t count = 0;
  std::vector<PlyProperty> properties;
};
struct PlyHeader {
  PlyFormat format = PlyFormat::ascii;
  std::vector<PlyElement> elements;
  std::vector<std::string> textures;  // of "comment TextureFile", in MeshLab's manner
  std::span<const std::byte> body;
};

[[noreturn]] void refuse_ply(const std::string& name, const std::string& reason);
bool is_ply(std::span<const std::byte> bytes);
PlyHeader parse_ply_header(std::span<const std::byte> bytes, const std::string& name);

// Reads one scalar after the other, from text or from bytes of either order. A copy goes on from the same
// place.
class PlyValues {
 public:
  PlyValues(const PlyHeader& header, const std::string& name);

  // Text that names what is no number, as compilers print it ("-1.#IND"), is NaN.
  double read(PlyScalar type) {
    if (format_ == PlyFormat::ascii) return read_word();
    const std::size_t size = size_of(type);
    if (bytes_.size() < size) refuse_ply(name_, "it ends before its last element");
    std::byte raw[8];
    std::memcpy(raw, bytes_.data(), size);
    bytes_ = bytes_.subspan(size);
    if (format_ == PlyFormat::big_endian) std::reverse(raw, raw + size);
    return convert(raw, type);
  }
  // Refuses a length that the bytes that are left cannot hold.
  std::size_t read_list_length(const PlyProperty& property);
  // Refuses a count that they cannot hold.
  void check_count(const PlyElement& element) const;
  void skip(const PlyElement& element);

 private:
  static std::size_t size_of(PlyScalar type) {
    switch (type) {
      case PlyScalar::i8:
      case PlyScalar::u8:
        return 1;
      case PlyScalar::i16:
      case PlyScalar::u16:
        return 2;
      case PlyScalar::f64:
        return 8;
      default:
        return 4;
    }
  }
  template <class T>
  static double load(const std::byte* raw) {
    T value;
    std::memcpy(&value, raw, sizeof value);
    return double(value);
  }
  static double convert(const std::byte* raw, PlyScalar type) {
    switch (type) {
      case PlyScalar::i8:
        return load<std::int8_t>(raw);
      case PlyScalar::u8:
        return load<std::uint8_t>(raw);
      case PlyScalar::i16:
        return load<std::int16_t>(raw);
      case PlyScalar::u16:
        return load<std::uint16_t>(raw);
      case PlyScalar::i32:
        return load<std::int32_t>(raw);
      case PlyScalar::u32:
        return load<std::uint32_t>(raw);
      case PlyScalar::f32:
        return load<float>(raw);
      default:
        return load<double>(raw);
    }
  }

  std::size_t remaining() const { return format_ == PlyFormat::ascii ? text_.size() : bytes_.size(); }
  std::size_t fewest_bytes(PlyScalar type) const { return format_ == PlyFormat::ascii ? 1 : size_of(type); }
  double read_word();

  PlyFormat format_;
  std::string name_;
  std::span<const std::byte> bytes_;
  std::string_view text_;
};

}  // namespace omni::geometry
