#include "omni/core/error.h"
#include "omni/sequence/grammar.h"

namespace omni::sequence {

bool AllowedTokens::contains(std::int32_t token) const { return index_of(token) >= 0; }

std::int32_t AllowedTokens::count() const {
  std::int32_t total = 0;
  for (int i = 0; i < run_count; ++i) total += runs[static_cast<std::size_t>(i)].size;
  return total;
}

std::int32_t AllowedTokens::token(std::int32_t index) const {
  ensure(index >= 0, "an allowed token has a negative index");
  for (int i = 0; i < run_count; ++i) {
    const TokenRun& run = runs[static_cast<std::size_t>(i)];
    if (index < run.size) return run.first + index;
    index -= run.size;
  }
  fail(ErrorKind::internal, "internal error: an allowed token is asked for beyond the last one");
}

std::int32_t AllowedTokens::index_of(std::int32_t token) const {
  std::int32_t before = 0;
  for (int i = 0; i < run_count; ++i) {
    const TokenRun& run = runs[static_cast<std::size_t>(i)];
    if (token >= run.first && token - run.first < run.size) return before + (token - run.first);
    before += run.size;
  }
  return -1;
}

void AllowedTokens::add(std::int32_t first, std::int32_t size) {
  if (size <= 0) return;
  if (run_count > 0) {
    TokenRun& last = runs[static_cast<std::size_t>(run_count) - 1];
    ensure(first >= last.first + last.size, "runs of allowed tokens must ascend");
    if (first == last.first + last.size) {
      last.size += size;
      return;
    }
  }
  ensure(static_cast<std::size_t>(run_count) < runs.size(), "too many runs of allowed tokens");
  runs[static_cast<std::size_t>(run_count++)] = {first, size};
}

}  // namespace omni::sequence
