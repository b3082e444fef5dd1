#pragma once

#include <cstddef>
#include <string>

namespace omni::test {

// Calls `read` with every beginning of a text and with the text after each single flip of a bit.
template <class Read>
void for_each_damage(const std::string& valid, const Read& read) {
  for (std::size_t i = 0; i < valid.size(); ++i) {
    read(valid.substr(0, i));
    for (int bit = 0; bit < 8; ++bit) {
      std::string flipped = valid;
      flipped[i] = static_cast<char>(flipped[i] ^ (1 << bit));
      read(flipped);
    }
  }
}

}  // namespace omni::test
