// Runs a fuzz target without libFuzzer: over every file of a corpus folder, over random mutations of each,
// and over random bytes. The same inputs on every run.
//   fuzz_<name> <corpus folder> [mutations per file]
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <vector>

#include "omni/core/files.h"
#include "omni/core/random.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

using Bytes = std::vector<std::uint8_t>;

Bytes mutate(Bytes bytes, omni::CounterRng& rng) {
  for (std::uint64_t edits = 1 + rng.below(4); edits > 0 && !bytes.empty(); --edits) {
    const std::size_t at = rng.below(bytes.size());
    switch (rng.below(5)) {
      case 0:
        bytes[at] ^= static_cast<std::uint8_t>(1u << rng.below(8));
        break;
      case 1:
        bytes[at] = static_cast<std::uint8_t>(rng.next_u32());
        break;
      case 2:
        bytes.resize(at);
        break;
      case 3:
        bytes.erase(bytes.begin() + at, bytes.begin() + std::min(bytes.size(), at + 1 + rng.below(8)));
        break;
      default: {
        const Bytes copied(bytes.begin() + at,
                           bytes.begin() + std::min(bytes.size(), at + 1 + rng.below(16)));
        bytes.insert(bytes.begin() + rng.below(bytes.size() + 1), copied.begin(), copied.end());
      }
    }
  }
  return bytes;
}

}  // namespace

int main(int argument_count, char** arguments) {
  const std::filesystem::path corpus = argument_count > 1 ? arguments[1] : "";
  const int mutations = argument_count > 2 ? std::atoi(arguments[2]) : 300;
  std::vector<std::filesystem::path> files;
  if (std::filesystem::is_directory(corpus)) {
    for (const auto& entry : std::filesystem::directory_iterator(corpus)) files.push_back(entry.path());
  }
  if (files.empty()) {
    std::cerr << "no corpus in '" << corpus.string() << "'\n";
    return 1;
  }
  std::sort(files.begin(), files.end());
  omni::CounterRng rng(1);
  std::size_t runs = 0;
  for (const auto& file : files) {
    const auto raw = omni::read_file_bytes(file);
    const auto* data = reinterpret_cast<const std::uint8_t*>(raw.data());
    const Bytes bytes(data, data + raw.size());
    LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
    for (int i = 0; i < mutations; ++i, ++runs) {
      const Bytes mutated = mutate(bytes, rng);
      LLVMFuzzerTestOneInput(mutated.data(), mutated.size());
    }
  }
  for (int i = 0; i < mutations; ++i, ++runs) {
    Bytes bytes(rng.below(512));
    for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(rng.next_u32());
    LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
  }
  std::cout << files.size() << " files, " << runs << " mutations\n";
  return 0;
}
