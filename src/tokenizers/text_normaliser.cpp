#include "text_normaliser.h"

#include "text_unicode.h"

namespace omni::tokenizers {
namespace {

std::string replace_all(std::string_view text, const Regex& pattern, std::string_view content) {
  std::string out;
  std::size_t at = 0;
  for (const Regex::Span span : pattern.find_all(text)) {
    out += text.substr(at, span.begin - at);
    out += content;
    at = span.end;
  }
  out += text.substr(at);
  return out;
}

}  // namespace

void TextNormaliser::add_nfc() { steps_.push_back({Kind::nfc, {}, {}}); }
void TextNormaliser::add_lower_case() { steps_.push_back({Kind::lower_case, {}, {}}); }

void TextNormaliser::add_replacement(Regex pattern, std::string content) {
  Step step{Kind::replacement, {}, std::move(content)};
  step.pattern.push_back(std::move(pattern));
  steps_.push_back(std::move(step));
}

std::string TextNormaliser::operator()(std::string_view text) const {
  std::string out(text);
  for (const Step& step : steps_) {
    switch (step.kind) {
      case Kind::nfc:
        out = normalise_nfc(out);
        break;
      case Kind::lower_case:
        out = to_lower_case(out);
        break;
      case Kind::replacement:
        out = replace_all(out, step.pattern.front(), step.content);
        break;
    }
  }
  return out;
}

}  // namespace omni::tokenizers
