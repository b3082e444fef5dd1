#pragma once

#include <cstring>
#include <filesystem>
#include <string>

#include "omni/core/files.h"

namespace omni::test {

// Writes a copy of a safetensors file that holds one more tensor, "optimizer.step" of two numbers of a type that nothing
// computes with.
inline void copy_with_unread_tensor(const std::filesystem::path& from, const std::filesystem::path& to,
                                    const std::string& type = "U32", std::size_t bytes = 8) {
  std::string file = read_file_text(from);
  std::uint64_t length = 0;
  std::memcpy(&length, file.data(), sizeof length);
  const std::size_t end = file.size() - 8 - length;  // of the other tensors' bytes
  const std::string entry = R"("optimizer.step":{"dtype":")" + type + R"(","shape":[2],"data_offsets":[)" +
                            std::to_string(end) + "," + std::to_string(end + bytes) + "]},";
  file.insert(8 + file.substr(8).find('{') + 1, entry);
  length += entry.size();
  std::memcpy(file.data(), &length, sizeof length);
  write_file_atomically(to, std::string_view(file.append(bytes, '\0')));
}

}  // namespace omni::test
