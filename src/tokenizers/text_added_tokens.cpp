#include "text_added_tokens.h"

#include <algorithm>

#include "text_regex.h"
#include "text_unicode.h"

namespace omni::tokenizers {
namespace {

std::size_t character_start_before(std::string_view text, std::size_t at) {
  std::size_t start = at - 1;
  while (start > 0 && at - start < 4 && (static_cast<unsigned char>(text[start]) & 0xC0) == 0x80) --start;
  return start;
}

bool is_one_character_of(const Regex& set, std::string_view character) {
  const auto found = set.find_all(character);
  return found.size() == 1 && found[0].begin == 0 && found[0].end == character.size();
}

const Regex& word_characters() {
  // Rust's \w, which Hugging Face uses here: PCRE2's own lacks marks.
  static const Regex regex(R"([\p{L}\p{M}\p{Nd}\p{Nl}\p{Pc}\x{200C}\x{200D}\x{24B6}-\x{24E9}])");
  return regex;
}
const Regex& space_characters() {
  static const Regex regex("\\s");
  return regex;
}

bool word_before(std::string_view text, std::size_t at) {
  if (at == 0) return false;
  const std::size_t start = character_start_before(text, at);
  return is_one_character_of(word_characters(), text.substr(start, at - start));
}

bool word_after(std::string_view text, std::size_t at) {
  return at < text.size() &&
         is_one_character_of(word_characters(), text.substr(at, read_utf8(text, at).length));
}

std::size_t skip_spaces_left(std::string_view text, std::size_t at, std::size_t limit) {
  while (at > limit) {
    const std::size_t start = character_start_before(text, at);
    if (start < limit || !is_one_character_of(space_characters(), text.substr(start, at - start))) break;
    at = start;
  }
  return at;
}

std::size_t skip_spaces_right(std::string_view text, std::size_t at) {
  while (at < text.size()) {
    const std::size_t length = read_utf8(text, at).length;
    if (!is_one_character_of(space_characters(), text.substr(at, length))) break;
    at += length;
  }
  return at;
}

}  // namespace

void AddedTokenFinder::add(AddedToken token, std::string searched_form) {
  if (searched_form.empty()) return;
  auto& entries = by_first_byte_[searched_form.front()];
  const auto place = std::find_if(entries.begin(), entries.end(),
                                  [&](const Entry& e) { return e.form.size() < searched_form.size(); });
  entries.insert(place, {std::move(searched_form), std::move(token)});
}

const AddedTokenFinder::Entry* AddedTokenFinder::longest_at(std::string_view text, std::size_t at) const {
  const auto entries = by_first_byte_.find(text[at]);
  if (entries == by_first_byte_.end()) return nullptr;
  for (const Entry& entry : entries->second) {
    if (text.substr(at).starts_with(entry.form)) return &entry;
  }
  return nullptr;
}

void AddedTokenFinder::split(std::string_view text, const std::function<void(std::string_view)>& on_text,
                             const std::function<void(std::int32_t)>& on_token) const {
  std::size_t done = 0;
  for (std::size_t at = 0; at < text.size() && !empty();) {
    const Entry* const entry = longest_at(text, at);
    if (!entry) {
      ++at;
      continue;
    }
    std::size_t begin = at;
    std::size_t end = at + entry->form.size();
    at = end;
    if (entry->token.single_word && (word_before(text, begin) || word_after(text, end))) continue;
    if (entry->token.strip_left) begin = skip_spaces_left(text, begin, done);
    if (entry->token.strip_right) end = skip_spaces_right(text, end);
    if (begin > done) on_text(text.substr(done, begin - done));
    on_token(entry->token.id);
    done = at = end;
  }
  if (done < text.size()) on_text(text.substr(done));
}

}  // namespace omni::tokenizers
