#include "omni/tokenizers/word_list.h"

#include <algorithm>
#include <cmath>

#include "omni/core/error.h"
#include "omni/core/json_text.h"
#include "omni/tokenizers/caption_text.h"

namespace omni::tokenizers {
namespace {

using Json = nlohmann::json;

constexpr const char* kFormat = "omni word list";
constexpr std::int64_t kVersion = 1;
constexpr std::uint64_t kLargestCount = std::uint64_t{1} << 53;

// Optimal string alignment: insertions, deletions, exchanges, and swaps of neighbours.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before, last(b.size() + 1), row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) last[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t exchange = last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, exchange});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        row[j] = std::min(row[j], before[j - 2] + 1);
    }
    before = std::move(last);
    last = row;
  }
  return last[b.size()];
}

void keep_larger(WordList::Counts& counts, const WordList::Counts& others) {
  for (const auto& [word, count] : others) {
    std::int64_t& mine = counts[word];
    mine = std::max(mine, count);
  }
}

Json counts_json(const WordList::Counts& counts) {
  Json json = Json::object();
  const auto ordered = by_frequency(counts);
  for (std::size_t i = 0; i < std::min(ordered.size(), WordList::kMostWords); ++i)
    json[ordered[i].first] = ordered[i].second;
  return json;
}

WordList::Counts read_counts(const Json& json, const char* key) {
  const auto found = json.find(key);
  if (found == json.end() || !found->is_object())
    fail(ErrorKind::input, "\"", key, "\" is missing or is no mapping");
  if (found->size() > WordList::kMostWords)
    fail(ErrorKind::input, "\"", key, "\" holds more than ", WordList::kMostWords, " entries");
  WordList::Counts counts;
  for (const auto& [word, count] : found->items()) {
    if (word.empty() || word.size() > WordList::kLongestWord || !count.is_number_unsigned() ||
        count.get<std::uint64_t>() > kLargestCount) {
      fail(ErrorKind::input, "\"", key, "\" holds an entry that is no word with its number");
    }
    counts[word] = count.get<std::int64_t>();
  }
  return counts;
}

Json instructions_json(const WordList::Instructions& instructions) {
  Json json = Json::object();
  std::size_t written = 0;
  for (const auto& [task, wordings] : instructions) {
    json[task] = Json::object();
    for (const auto& [pattern, wording] : wordings)
      if (written++ < WordList::kMostWords)
        json[task][pattern] = {{"edits", wording.edits}, {"example", wording.example}};
  }
  return json;
}

bool is_short_text(const Json& json) {
  return json.is_string() && json.get_ref<const std::string&>().size() <= WordList::kLongestPattern;
}

WordList::Wording read_wording(const std::string& pattern, const Json& json) {
  const bool whole = json.is_object() && json.size() == 2 && json.contains("edits") &&
                     json["edits"].is_number_unsigned() && json.contains("example") &&
                     is_short_text(json["example"]);
  if (!whole || pattern.empty() || pattern.size() > WordList::kLongestPattern ||
      json["edits"].get<std::uint64_t>() > kLargestCount) {
    fail(ErrorKind::input, "\"instructions\" holds an entry that is no wording");
  }
  return {json["edits"].get<std::int64_t>(), json["example"].get<std::string>()};
}

std::optional<WordList::Instructions> read_instructions(const Json& json) {
  const auto found = json.find("instructions");
  if (found == json.end()) return {};
  WordList::Instructions instructions;
  std::size_t count = 0;
  const auto require = [](bool holds) {
    if (!holds) fail(ErrorKind::input, "\"instructions\" is no mapping of tasks to wordings");
  };
  require(found->is_object() && found->size() <= WordList::kMostWords);
  for (const auto& [task, wordings] : found->items()) {
    require(!task.empty() && task.size() <= WordList::kLongestPattern && wordings.is_object() &&
            (count += wordings.size()) <= WordList::kMostWords);
    for (const auto& [pattern, wording] : wordings.items())
      instructions[task][pattern] = read_wording(pattern, wording);
    instructions[task];
  }
  return instructions;
}

Json views_json(const std::map<WordList::View, std::int64_t>& views) {
  Json json = Json::array();
  for (const auto& [view, pictures] : views)
    json.push_back(
        {{"azimuth", view.azimuth_degrees}, {"elevation", view.elevation_degrees}, {"pictures", pictures}});
  return json;
}

std::map<WordList::View, std::int64_t> read_views(const Json& json) {
  std::map<WordList::View, std::int64_t> views;
  const auto found = json.find("views");
  if (found == json.end()) return views;
  const auto is_degrees = [](const Json& value) {
    return value.is_number_integer() && value.get<std::int64_t>() >= -360 && value.get<std::int64_t>() <= 360;
  };
  bool whole = found->is_array() && found->size() <= WordList::kMostWords;
  for (std::size_t i = 0; whole && i < found->size(); ++i) {
    const Json& view = (*found)[i];
    whole = view.is_object() && is_degrees(view.value("azimuth", Json())) &&
            is_degrees(view.value("elevation", Json())) &&
            view.value("pictures", Json()).is_number_unsigned() &&
            view["pictures"].get<std::uint64_t>() <= kLargestCount;
    if (whole)
      views[{view["azimuth"].get<std::int32_t>(), view["elevation"].get<std::int32_t>()}] =
          view["pictures"].get<std::int64_t>();
  }
  if (!whole) fail(ErrorKind::input, "\"views\" is no list of azimuths and elevations with their pictures");
  return views;
}

Json sizes_json(const std::map<std::string, WordList::Sizes, std::less<>>& sizes) {
  Json json = Json::object();
  for (const auto& [name, range] : sizes) json[name] = {range.smallest_m, range.largest_m};
  return json;
}

std::map<std::string, WordList::Sizes, std::less<>> read_sizes(const Json& json) {
  std::map<std::string, WordList::Sizes, std::less<>> sizes;
  const auto found = json.find("sizes_m");
  if (found == json.end()) return sizes;
  bool whole = found->is_object() && found->size() <= WordList::kMostWords;
  for (auto item = found->begin(); whole && item != found->end(); ++item) {
    const Json& range = item.value();
    whole = !item.key().empty() && item.key().size() <= WordList::kLongestWord && range.is_array() &&
            range.size() == 2 && range[0].is_number() && range[1].is_number() && range[0].get<double>() > 0 &&
            range[1].get<double>() >= range[0].get<double>();
    if (whole) sizes[item.key()] = {range[0].get<double>(), range[1].get<double>()};
  }
  if (!whole) fail(ErrorKind::input, "\"sizes_m\" is no mapping of classes to the smallest and largest size");
  return sizes;
}

}  // namespace

void WordList::add_caption(std::string_view text) {
  std::vector<std::string> words = caption_words(text);
  std::sort(words.begin(), words.end());
  words.erase(std::unique(words.begin(), words.end()), words.end());
  for (const std::string& word : words) {
    if (word.size() <= kLongestWord) ++words_[word];
  }
}

void WordList::add_class(std::string_view name) {
  if (name.empty() || name.size() > kLongestWord) return;
  ++classes_[std::string(name)];
}

void WordList::add_size(std::string_view class_name, double longest_side_m) {
  if (!std::isfinite(longest_side_m) || longest_side_m <= 0)
    fail(ErrorKind::usage, "a size of ", longest_side_m, " m. Give a number of metres above 0");
  if (class_name.empty() || class_name.size() > kLongestWord) return;
  const auto [place, is_new] =
      sizes_.try_emplace(std::string(class_name), Sizes{longest_side_m, longest_side_m});
  if (is_new) return;
  place->second.smallest_m = std::min(place->second.smallest_m, longest_side_m);
  place->second.largest_m = std::max(place->second.largest_m, longest_side_m);
}

void WordList::add_task(std::string_view name, std::int64_t objects) {
  if (name.empty() || name.size() > kLongestWord) return;
  tasks_[std::string(name)] = objects;
}

void WordList::add_view(View view) { ++views_[view]; }

void WordList::add_instruction(std::string_view task, std::string_view pattern, std::string_view text) {
  for (const std::string_view part : {task, pattern, text})
    if (part.empty() || part.size() > kLongestPattern) return;
  if (!instructions_) instructions_.emplace();
  Wording& wording = (*instructions_)[std::string(task)][std::string(pattern)];
  if (wording.edits++ == 0) wording.example = text;
}

void WordList::merge(const WordList& other) {
  keep_larger(words_, other.words_);
  keep_larger(classes_, other.classes_);
  keep_larger(tasks_, other.tasks_);
  for (const auto& [view, pictures] : other.views_) views_[view] = std::max(views_[view], pictures);
  for (const auto& [name, range] : other.sizes_)
    for (const double size : {range.smallest_m, range.largest_m}) add_size(name, size);
  if (!other.instructions_) {  // what was edited before is not known
    if (instructions_ && instructions_->empty()) instructions_.reset();
    return;
  }
  if (!instructions_) instructions_.emplace();
  for (const auto& [task, wordings] : *other.instructions_) {
    for (const auto& [pattern, wording] : wordings) {
      Wording& mine = (*instructions_)[task][pattern];
      if (wording.edits > mine.edits) mine = wording;
    }
  }
}

std::vector<std::string> WordList::nearest(std::string_view word, std::size_t most) const {
  if (word.size() < 3 || word.size() > kLongestWord) return {};
  const std::size_t limit = std::max<std::size_t>(1, word.size() / 3);
  struct Candidate {
    std::size_t distance;
    std::int64_t count;
    const std::string* word;
  };
  std::vector<Candidate> candidates;
  for (const auto& [known, count] : words_) {
    const std::size_t difference = std::max(known.size(), word.size()) - std::min(known.size(), word.size());
    if (difference > limit || known.size() < 3) continue;
    const std::size_t distance = edit_distance(word, known);
    if (distance <= limit) candidates.push_back({distance, count, &known});
  }
  std::stable_sort(candidates.begin(), candidates.end(), [](const Candidate& a, const Candidate& b) {
    return a.distance != b.distance ? a.distance < b.distance : a.count > b.count;
  });
  std::vector<std::string> words;
  for (std::size_t i = 0; i < std::min(candidates.size(), most); ++i) words.push_back(*candidates[i].word);
  return words;
}

std::string WordList::to_json() const {
  Json json = {{"format", kFormat},
               {"version", kVersion},
               {"classes", counts_json(classes_)},
               {"words", counts_json(words_)},
               {"tasks", counts_json(tasks_)},
               {"views", views_json(views_)},
               {"sizes_m", sizes_json(sizes_)}};
  if (instructions_) json["instructions"] = instructions_json(*instructions_);
  return json_text(json, 1) + "\n";
}

WordList WordList::parse(std::string_view text, const std::string& name) {
  try {
    if (text.size() > kLargestFile) fail(ErrorKind::input, "it is larger than any word list");
    const Json json = parse_json(text);
    if (!json.is_object() || json.value("format", Json()) != kFormat)
      fail(ErrorKind::input, "it is no word list");
    if (json.value("version", Json()) != kVersion)
      fail(ErrorKind::input, "this program reads version ", kVersion, " of the format");
    WordList list;
    list.classes_ = read_counts(json, "classes");
    list.words_ = read_counts(json, "words");
    if (json.contains("tasks")) list.tasks_ = read_counts(json, "tasks");
    list.views_ = read_views(json);
    list.sizes_ = read_sizes(json);
    list.instructions_ = read_instructions(json);
    return list;
  } catch (const Json::exception& error) {
    fail(ErrorKind::input, "reading the word list ", name, ": it is not JSON (", error.what(),
         "). Delete it to go without, or take the bundle anew from where it came");
  } catch (const Error& error) {
    throw Error(error.kind(),
                concat("reading the word list ", name, ": ", error.what(),
                       ". Delete it to go without, or take the bundle anew from where it came"));
  }
}

std::vector<std::pair<std::string, std::int64_t>> by_frequency(const WordList::Counts& counts) {
  std::vector<std::pair<std::string, std::int64_t>> ordered(counts.begin(), counts.end());
  std::stable_sort(ordered.begin(), ordered.end(),
                   [](const auto& a, const auto& b) { return a.second > b.second; });
  return ordered;
}

}  // namespace omni::tokenizers
