#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>

namespace omni::tokenizers {

// GPT-2 writes every byte as one printable character, so that tokens can sit in JSON: printable Latin-1
// stands for itself, the other 68 bytes become U+0100, U+0101, ... in rising order.
class ByteAlphabet {
 public:
  ByteAlphabet();
  // The bytes in the order of GPT-2's token ids 0 .. 255.
  const std::array<unsigned char, 256>& id_order() const { return id_order_; }
  std::string to_characters(std::string_view bytes) const;
  // The bytes behind a token's characters, or nothing where a character is outside the alphabet.
  std::optional<std::string> to_bytes(std::string_view characters) const;

 private:
  std::array<unsigned char, 256> id_order_{};
  std::array<std::string, 256> character_of_byte_;
  std::array<int, 324> byte_of_code_point_{};
};

const ByteAlphabet& byte_alphabet();

}  // namespace omni::tokenizers
