#include "omni/core/npy.h"

#include <bit>
#include <charconv>
#include <cstring>
#include <limits>
#include <string_view>

#include "omni/core/error.h"

namespace omni {
namespace {

constexpr std::string_view kMagic = "\x93NUMPY";

struct Header {
  std::string descr;
  bool fortran_order = false;
  std::vector<std::int64_t> shape;
};

// The header is a Python dictionary of three known keys.
class HeaderReader {
 public:
  HeaderReader(std::string_view text, const std::string& name) : text_(text), name_(name) {}

  Header read() {
    Header header;
    bool descr = false, order = false, shape = false;
    expect('{');
    while (!accept('}')) {
      const std::string key = string();
      expect(':');
      bool& seen = key == "descr" ? descr : key == "fortran_order" ? order : shape;
      if (seen || (key != "descr" && key != "fortran_order" && key != "shape")) broken();
      seen = true;
      if (key == "descr") header.descr = string();
      if (key == "fortran_order") header.fortran_order = boolean();
      if (key == "shape") header.shape = tuple();
      if (!accept(',')) {
        expect('}');
        break;
      }
    }
    if (!descr || !order || !shape) broken();
    return header;
  }

 private:
  [[noreturn]] void broken() const {
    fail(ErrorKind::input, "reading ", name_, ": its NumPy header is broken near byte ", at_,
         ". Save the array again with numpy.save");
  }
  char next() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n')) ++at_;
    return at_ < text_.size() ? text_[at_] : '\0';
  }
  bool accept(char wanted) {
    if (next() != wanted) return false;
    ++at_;
    return true;
  }
  void expect(char wanted) {
    if (!accept(wanted)) broken();
  }
  std::string string() {
    const char quote = next();
    if (quote != '\'' && quote != '"') broken();
    const std::size_t end = text_.find(quote, ++at_);
    if (end == std::string_view::npos) broken();
    const std::string found(text_.substr(at_, end - at_));
    at_ = end + 1;
    return found;
  }
  bool boolean() {
    next();
    for (const std::string_view word : {std::string_view("True"), std::string_view("False")}) {
      if (!text_.substr(at_).starts_with(word)) continue;
      at_ += word.size();
      return word == "True";
    }
    broken();
  }
  std::vector<std::int64_t> tuple() {
    std::vector<std::int64_t> sizes;
    expect('(');
    while (!accept(')')) {
      next();
      std::int64_t size = 0;
      const auto [end, error] = std::from_chars(text_.data() + at_, text_.data() + text_.size(), size);
      if (error != std::errc() || size < 0 || sizes.size() == 32) broken();
      at_ = static_cast<std::size_t>(end - text_.data());
      sizes.push_back(size);
      if (!accept(',')) {
        expect(')');
        break;
      }
    }
    return sizes;
  }

  std::string_view text_;
  const std::string& name_;
  std::size_t at_ = 0;
};

struct IntegerType {
  std::size_t bytes = 0;
  bool is_signed = false, big_endian = false;
};

IntegerType integer_type(const std::string& descr, const std::string& name) {
  const bool known = descr.size() == 3 && std::string_view("<>|=").find(descr[0]) != std::string_view::npos &&
                     (descr[1] == 'i' || descr[1] == 'u') &&
                     std::string_view("1248").find(descr[2]) != std::string_view::npos;
  if (!known)
    fail(ErrorKind::input, "reading ", name, ": its elements are '", descr,
         "', not integers. Save it with .astype('int32')");
  return {static_cast<std::size_t>(descr[2] - '0'), descr[1] == 'i', descr[0] == '>'};
}

std::int64_t integer(const std::byte* bytes, const IntegerType& type, const std::string& name) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < type.bytes; ++i) {
    const std::size_t byte = type.big_endian ? type.bytes - 1 - i : i;
    value |= std::to_integer<std::uint64_t>(bytes[byte]) << (8 * i);
  }
  if (type.is_signed) {
    const int unused = static_cast<int>(64 - 8 * type.bytes);
    return static_cast<std::int64_t>(value << unused) >> unused;
  }
  if (value > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))
    fail(ErrorKind::input, "reading ", name, ": the value ", value, " is too large. Save it as int64");
  return static_cast<std::int64_t>(value);
}

std::size_t little_endian(std::span<const std::byte> bytes) {
  std::size_t value = 0;
  for (std::size_t i = 0; i < bytes.size(); ++i) value |= std::to_integer<std::size_t>(bytes[i]) << (8 * i);
  return value;
}

}  // namespace

IntegerArray parse_npy(std::span<const std::byte> bytes, const std::string& name) {
  const std::size_t version = bytes.size() > kMagic.size() + 1 ? std::to_integer<std::size_t>(bytes[6]) : 0;
  const std::size_t prefix = kMagic.size() + 2 + (version == 1 ? 2 : 4);
  if (version < 1 || version > 3 || bytes.size() < prefix ||
      std::memcmp(bytes.data(), kMagic.data(), kMagic.size()) != 0)
    fail(ErrorKind::input, "reading ", name, ": not a NumPy file. Give one that numpy.save wrote");
  const std::size_t header_size = little_endian(bytes.subspan(8, prefix - 8));
  if (header_size > bytes.size() - prefix)
    fail(ErrorKind::input, "reading ", name, ": truncated inside its header. Copy or save it again");

  const std::string_view text(reinterpret_cast<const char*>(bytes.data()) + prefix, header_size);
  const Header header = HeaderReader(text, name).read();
  const IntegerType type = integer_type(header.descr, name);
  if (header.fortran_order && header.shape.size() > 1)
    fail(ErrorKind::input, "reading ", name, ": in Fortran order. Save it with numpy.ascontiguousarray");
  const std::span<const std::byte> data = bytes.subspan(prefix + header_size);
  std::size_t count = 1;
  for (const std::int64_t size : header.shape) {
    if (size != 0 && count > data.size() / static_cast<std::size_t>(size)) {
      count = data.size() + 1;  // more than there can be; a later 0 would still be a lie about this file
      break;
    }
    count *= static_cast<std::size_t>(size);
  }
  if (count > data.size() || count * type.bytes != data.size())
    fail(ErrorKind::input, "reading ", name, ": holds ", data.size(),
         " bytes of data, its header tells of another size. Copy or save it again");

  IntegerArray array{.shape = header.shape, .values = {}};
  array.values.reserve(count);
  for (std::size_t i = 0; i < count; ++i)
    array.values.push_back(integer(data.data() + i * type.bytes, type, name));
  return array;
}

std::vector<std::byte> to_npy(std::span<const std::int32_t> values) {
  static_assert(std::endian::native == std::endian::little);
  constexpr std::size_t kAlignment = 64, kPrefix = 10;
  std::string header = concat("{'descr': '<i4', 'fortran_order': False, 'shape': (", values.size(), ",), }");
  header.append(kAlignment - 1 - (kPrefix + header.size()) % kAlignment, ' ');
  header += '\n';
  std::string prefix(kMagic);
  prefix += {'\1', '\0', static_cast<char>(header.size() & 0xff), static_cast<char>(header.size() >> 8)};
  std::vector<std::byte> bytes;
  const auto append = [&](std::span<const std::byte> part) {
    bytes.insert(bytes.end(), part.begin(), part.end());
  };
  append(std::as_bytes(std::span(prefix)));
  append(std::as_bytes(std::span(header)));
  append(std::as_bytes(values));
  return bytes;
}

}  // namespace omni
