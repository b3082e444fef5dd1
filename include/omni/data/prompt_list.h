#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace omni::data {

struct PromptLine {
  std::int64_t line = 0;  // in the file, from 1
  std::string prompt;
  std::string name;                   // of its files; empty: none given
  std::optional<std::uint64_t> seed;  // absent: the run's

  friend bool operator==(const PromptLine&, const PromptLine&) = default;
};

struct PromptList {
  struct Problem {
    std::int64_t line = 0;
    std::string what;
  };
  std::vector<PromptLine> prompts;
  std::vector<Problem> left_out;  // lines that cannot be used, and why
};

// Texts to sample from, by the file's ending: .txt (one a line, blank ones skipped; lines end with LF, CRLF or CR), .csv (a header with `prompt`, and
// if wanted `name` and `seed`; see parse_csv) or .jsonl (an object with the same keys a line). A broken line costs
// itself, also one with another key; another column costs the table. Names are file names: letters, digits, '-' and '_', up
// to 100 bytes. Throws Error(usage) for another ending, Error(input) for a file that is no text, has a column of another name or holds no prompt at all.
PromptList parse_prompts(std::string_view bytes, const std::string& file);
// The same of a file of at most kLargestPromptFile bytes. Throws Error(io).
PromptList read_prompts(const std::filesystem::path& file);

inline constexpr std::uint64_t kLargestPromptFile = std::uint64_t{256} << 20;
inline constexpr std::size_t kLongestPrompt = 64 << 10;  // bytes

}  // namespace omni::data
