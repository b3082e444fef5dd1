#include "text_pre_tokeniser.h"

namespace omni::tokenizers {
namespace {

void split(std::string_view piece, const Regex& pattern, PreTokeniser::Keep keep,
           std::vector<std::string>& out) {
  const auto add = [&](std::size_t begin, std::size_t end, bool is_match) {
    const bool unwanted =
        (keep == PreTokeniser::Keep::matches && !is_match) || (keep == PreTokeniser::Keep::gaps && is_match);
    if (end > begin && !unwanted) out.emplace_back(piece.substr(begin, end - begin));
  };
  std::size_t at = 0;
  for (const Regex::Span span : pattern.find_all(piece)) {
    add(at, span.begin, false);
    add(span.begin, span.end, true);
    at = span.end;
  }
  add(at, piece.size(), false);
}

}  // namespace

void PreTokeniser::add_split(Regex pattern, Keep keep) { steps_.push_back({std::move(pattern), keep}); }
void PreTokeniser::add_prefix_space() { steps_.push_back({}); }

std::vector<std::string> PreTokeniser::operator()(std::string_view text) const {
  std::vector<std::string> pieces;
  if (!text.empty()) pieces.emplace_back(text);
  for (const Step& step : steps_) {
    if (!step.pattern) {
      for (std::string& piece : pieces) {
        if (!piece.starts_with(' ')) piece.insert(piece.begin(), ' ');
      }
      continue;
    }
    std::vector<std::string> finer;
    for (const std::string& piece : pieces) split(piece, *step.pattern, step.keep, finer);
    pieces = std::move(finer);
  }
  return pieces;
}

}  // namespace omni::tokenizers
