#include "omni/core/utf8.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>

#include "omni/core/error.h"

namespace omni {
namespace {

void append_character(std::string& out, std::uint32_t point) {
  if (point < 0x80) {
    out += static_cast<char>(point);
  } else if (point < 0x800) {
    out += static_cast<char>(0xC0 | point >> 6);
    out += static_cast<char>(0x80 | (point & 0x3F));
  } else if (point < 0x10000) {
    out += static_cast<char>(0xE0 | point >> 12);
    out += static_cast<char>(0x80 | (point >> 6 & 0x3F));
    out += static_cast<char>(0x80 | (point & 0x3F));
  } else {
    out += static_cast<char>(0xF0 | point >> 18);
    out += static_cast<char>(0x80 | (point >> 12 & 0x3F));
    out += static_cast<char>(0x80 | (point >> 6 & 0x3F));
    out += static_cast<char>(0x80 | (point & 0x3F));
  }
}

// A line ends with "\n", "\r\n" or "\r".
std::size_t line_at(std::string_view text, std::size_t at) {
  std::size_t line = 1;
  for (std::size_t i = 0; i < at; ++i)
    line += text[i] == '\n' || (text[i] == '\r' && (i + 1 >= text.size() || text[i + 1] != '\n'));
  return line;
}

std::string decode_utf16(std::string_view bytes, bool big_endian, const std::string& name) {
  std::string out;
  out.reserve(bytes.size() / 2);
  const auto unit = [&](std::size_t at) {
    const std::uint32_t a = static_cast<unsigned char>(bytes[at]),
                        b = static_cast<unsigned char>(bytes[at + 1]);
    return big_endian ? a << 8 | b : b << 8 | a;
  };
  const auto broken = [&](std::size_t at) {
    fail(ErrorKind::input, "reading ", name, ":", line_at(out, out.size()), ": byte ", at + 1,
         " of the file is no UTF-16, as which it begins. It is cut off or damaged; write it as UTF-8");
  };
  for (std::size_t at = 0; at < bytes.size(); at += 2) {
    if (at + 1 >= bytes.size()) broken(at);
    std::uint32_t point = unit(at);
    if (point >= 0xD800 && point < 0xE000) {
      const bool paired = point < 0xDC00 && at + 3 < bytes.size() && (unit(at + 2) & 0xFC00) == 0xDC00;
      if (!paired) broken(at);
      point = 0x10000 + ((point & 0x3FF) << 10 | (unit(at + 2) & 0x3FF));
      at += 2;
    }
    if (point != 0xFEFF || at > 0) append_character(out, point);
  }
  return out;
}

// Latin text in UTF-16 has a zero in every other byte; UTF-8 has none in its first line.
bool has_zeros_at(std::string_view bytes, std::size_t parity) {
  const std::size_t looked_at = std::min<std::size_t>(bytes.size() / 2 * 2, 64);
  if (looked_at < 4) return false;
  std::size_t zeros = 0, others = 0;
  for (std::size_t i = 0; i < looked_at; ++i) (i % 2 == parity ? zeros : others) += bytes[i] == '\0';
  return others == 0 && zeros * 4 >= looked_at;
}

void escape(std::string& out, unsigned char byte) {
  constexpr const char* kDigits = "0123456789abcdef";
  out += "\\x";
  out += kDigits[byte >> 4];
  out += kDigits[byte & 15];
}

// U+0080 to U+009F steer terminals, too.
bool is_control(std::string_view character) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(character[i]); };
  if (character.size() == 1) return byte(0) < 0x20 || byte(0) == 0x7F;
  return character.size() == 2 && byte(0) == 0xC2 && byte(1) < 0xA0;
}

void append_printable(std::string& out, std::string_view text, bool keep_breaks) {
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t length = character_bytes(text.substr(i, 4));
    const auto byte = static_cast<unsigned char>(text[i]);
    const bool is_break = byte == '\n' || byte == '\t';
    const bool control = is_control(text.substr(i, length));
    if (length == 0) {
      escape(out, byte);
      ++i;
      continue;
    }
    if (!control || (is_break && keep_breaks))
      out += text.substr(i, length);
    else if (byte == '\n' || byte == '\r' || byte == '\t')
      out += byte == '\n' ? "\\n" : byte == '\r' ? "\\r" : "\\t";
    else
      for (std::size_t k = 0; k < length; ++k) escape(out, static_cast<unsigned char>(text[i + k]));
    i += length;
  }
}

}  // namespace

std::size_t character_bytes(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  if (first < 0x80) return 1;
  const std::size_t length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (first < 0xC2 || first > 0xF4 || text.size() < length) return 0;
  for (std::size_t i = 1; i < length; ++i)
    if ((byte(i) & 0xC0) != 0x80) return 0;
  const unsigned char second = byte(1);
  const bool overlong = (first == 0xE0 && second < 0xA0) || (first == 0xF0 && second < 0x90);
  const bool surrogate = first == 0xED && second >= 0xA0, beyond = first == 0xF4 && second >= 0x90;
  return overlong || surrogate || beyond ? 0 : length;
}

bool is_blank(std::string_view text) {
  // Unicode's White_Space beyond ASCII; none of it has four bytes.
  static constexpr std::array<std::string_view, 18> kSpaces = {
      "\u00a0", "\u1680", "\u2000", "\u2001", "\u2002", "\u2003", "\u2004", "\u2005", "\u2006",
      "\u2007", "\u2008", "\u2009", "\u200a", "\u2028", "\u2029", "\u202f", "\u205f", "\u3000"};
  for (std::size_t i = 0; i < text.size();) {
    const std::string_view character =
        text.substr(i, std::max<std::size_t>(1, character_bytes(text.substr(i, 4))));
    if (character != " " && !is_control(character) &&
        std::find(kSpaces.begin(), kSpaces.end(), character) == kSpaces.end())
      return false;
    i += character.size();
  }
  return true;
}

std::size_t find_invalid_utf8(std::string_view text) {
  for (std::size_t i = 0; i < text.size();) {
    std::uint64_t eight = 0;
    if (i + sizeof eight <= text.size()) {
      std::memcpy(&eight, text.data() + i, sizeof eight);
      if ((eight & 0x8080808080808080u) == 0) {
        i += sizeof eight;
        continue;
      }
    }
    const std::size_t length = character_bytes(text.substr(i, 4));
    if (length == 0) return i;
    i += length;
  }
  return std::string_view::npos;
}

std::string decode_text(std::string_view bytes, const std::string& name) {
  using namespace std::string_view_literals;
  if (bytes.starts_with("\xFF\xFE\0\0"sv) || bytes.starts_with("\0\0\xFE\xFF"sv))
    fail(ErrorKind::input, "reading ", name,
         ":1: byte 1 of the file: it is UTF-32, which is not read. Convert it: iconv -f UTF-32 -t UTF-8");
  if (bytes.starts_with("\xFF\xFE"sv)) return decode_utf16(bytes, /*big_endian=*/false, name);
  if (bytes.starts_with("\xFE\xFF"sv)) return decode_utf16(bytes, /*big_endian=*/true, name);
  if (has_zeros_at(bytes, 1)) return decode_utf16(bytes, /*big_endian=*/false, name);
  if (has_zeros_at(bytes, 0)) return decode_utf16(bytes, /*big_endian=*/true, name);
  if (const std::size_t at = find_invalid_utf8(bytes); at != std::string_view::npos) {
    std::string byte;
    escape(byte, static_cast<unsigned char>(bytes[at]));
    fail(
        ErrorKind::input, "reading ", name, ":", line_at(bytes, at), ": byte ", at + 1, " of the file (",
        byte,
        ") is not UTF-8. Spreadsheets on Windows often write Windows-1252: save it as \"CSV UTF-8\", or convert "
        "it from the encoding that it has: iconv -f WINDOWS-1252 -t UTF-8");
  }
  return std::string(bytes.substr(bytes.starts_with("\xEF\xBB\xBF"sv) ? 3 : 0));
}

std::string printable(std::string_view text, std::size_t most_bytes) {
  const bool whole = text.size() <= most_bytes;
  // Not inside a character.
  while (!whole && most_bytes > 0 && (static_cast<unsigned char>(text[most_bytes]) & 0xC0) == 0x80)
    --most_bytes;
  std::string out;
  append_printable(out, text.substr(0, most_bytes), /*keep_breaks=*/false);
  if (!whole) out += "...";
  return out;
}

std::string printable_message(std::string_view message) {
  std::string out;
  out.reserve(message.size());
  append_printable(out, message, /*keep_breaks=*/true);
  return out;
}

}  // namespace omni
