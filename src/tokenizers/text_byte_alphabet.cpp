#include "text_byte_alphabet.h"

#include "text_unicode.h"

namespace omni::tokenizers {

ByteAlphabet::ByteAlphabet() {
  byte_of_code_point_.fill(-1);
  const auto printable = [](int byte) {
    return (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
  };
  int position = 0;
  int next_code_point = 0x100;
  for (const bool wanted : {true, false}) {
    for (int byte = 0; byte < 256; ++byte) {
      if (printable(byte) != wanted) continue;
      const int code_point = wanted ? byte : next_code_point++;
      id_order_[position++] = static_cast<unsigned char>(byte);
      append_utf8(character_of_byte_[byte], static_cast<char32_t>(code_point));
      byte_of_code_point_[code_point] = byte;
    }
  }
}

std::string ByteAlphabet::to_characters(std::string_view bytes) const {
  std::string characters;
  for (const char byte : bytes) characters += character_of_byte_[static_cast<unsigned char>(byte)];
  return characters;
}

std::optional<std::string> ByteAlphabet::to_bytes(std::string_view characters) const {
  std::string bytes;
  for (std::size_t at = 0; at < characters.size();) {
    const Utf8Character character = read_utf8(characters, at);
    at += character.length;
    if (!character.valid || character.code_point >= byte_of_code_point_.size()) return std::nullopt;
    const int byte = byte_of_code_point_[character.code_point];
    if (byte < 0) return std::nullopt;
    bytes.push_back(static_cast<char>(byte));
  }
  return bytes;
}

const ByteAlphabet& byte_alphabet() {
  static const ByteAlphabet alphabet;
  return alphabet;
}

}  // namespace omni::tokenizers
