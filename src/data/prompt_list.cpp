#include "omni/data/prompt_list.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "omni/core/config.h"
#include "omni/core/error.h"
#include "omni/core/files.h"
#include "omni/core/json_text.h"
#include "omni/core/utf8.h"
#include "omni/data/csv.h"
#include "trimmed.h"

namespace omni::data {
namespace {

constexpr std::size_t kLongestName = 100;
constexpr std::string_view kBlanks = " \t";  // around names and seeds
constexpr std::array<const char*, 3> kKeys = {"prompt", "name", "seed"};

// Somebody who misspelt one would not see that what it says is not heeded. `found`: "it has the key", say.
std::string unknown_key(const char* found, std::string_view key) {
  const std::string nearest = nearest_word(key, {kKeys.begin(), kKeys.end()});
  return concat(found, " '", printable(key), "', which is none of 'prompt', 'name' and 'seed'. ",
                nearest.empty() ? "Take it out" : concat("Did you mean '", nearest, "'?"));
}

bool is_file_name(std::string_view name) {
  if (name.empty() || name.size() > kLongestName) return false;
  return std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
  });
}

// Collects lines, and says which cannot be used.
class Collector {
 public:
  void add(std::int64_t line, std::string prompt, std::string_view name, std::string_view seed) {
    PromptLine entry{
        .line = line, .prompt = std::move(prompt), .name = std::string(trimmed(name, kBlanks)), .seed = {}};
    seed = trimmed(seed, kBlanks);
    if (is_blank(entry.prompt)) return leave_out(line, "the prompt is empty");
    if (const std::size_t nul = entry.prompt.find('\0'); nul != std::string::npos)
      return leave_out(line, concat("byte ", nul + 1, " of the prompt is NUL"));
    if (entry.prompt.size() > kLongestPrompt)
      return leave_out(
          line, concat("the prompt has ", entry.prompt.size(), " bytes; ", kLongestPrompt, " are the most"));
    if (!entry.name.empty() && !is_file_name(entry.name))
      return leave_out(line, "the name is none for files. Take letters, digits, '-' and '_'");
    if (!seed.empty()) {
      std::uint64_t value = 0;
      const auto [end, code] = std::from_chars(seed.data(), seed.data() + seed.size(), value);
      if (code != std::errc() || end != seed.data() + seed.size())
        return leave_out(line, "the seed is no whole number from 0 on");
      entry.seed = value;
    }
    list.prompts.push_back(std::move(entry));
  }
  void leave_out(std::int64_t line, std::string what) { list.left_out.push_back({line, std::move(what)}); }

  PromptList list;
};

template <class Line>
void for_each_line(std::string_view text, const Line& use) {
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  for (std::int64_t number = 1; !text.empty(); ++number) {
    const std::size_t end = std::min(text.find_first_of("\r\n"), text.size());
    use(number, text.substr(0, end));
    text.remove_prefix(end);
    text.remove_prefix(text.starts_with("\r\n") ? 2 : text.empty() ? 0 : 1);
  }
}

void read_object(std::int64_t line, std::string_view text, Collector& found) {
  const nlohmann::json object = parse_json_or_discard(text);
  if (!object.is_object()) return found.leave_out(line, "it is no JSON object");
  for (const auto& [key, value] : object.items())
    if (std::find(kKeys.begin(), kKeys.end(), key) == kKeys.end())
      return found.leave_out(line, unknown_key("it has the key", key));
  std::array<std::string, 3> values;  // in the order of kKeys
  for (std::size_t i = 0; i < kKeys.size(); ++i) {
    const auto value = object.find(kKeys[i]);
    if (value == object.end() || value->is_null()) continue;
    const bool is_number = i == 2 && value->is_number_integer();
    if (!value->is_string() && !is_number)
      return found.leave_out(line, concat("its '", kKeys[i], "' is of another type"));
    values[i] = is_number ? json_text(*value) : value->get<std::string>();
  }
  if (values[0].empty()) return found.leave_out(line, "it has no 'prompt'");
  found.add(line, std::move(values[0]), values[1], values[2]);
}

void read_table(std::string_view bytes, const std::string& file, Collector& found) {
  const CsvTable table = parse_csv(bytes, file);
  const std::int64_t prompt = table.find("prompt"), name = table.find("name"), seed = table.find("seed");
  if (prompt < 0)
    fail(ErrorKind::input, "reading the prompts ", file,
         ": its header has no column 'prompt'. Name the columns in the first line");
  for (std::size_t i = 0; i < table.columns.size(); ++i) {
    const std::string& column = table.columns[i];
    const auto at = static_cast<std::int64_t>(i);
    if (column.empty() || at == prompt || at == name || at == seed) continue;
    fail(ErrorKind::input, "reading the prompts ", file, ": ",
         table.find(column) < at
             ? concat("its header has the column '", printable(column), "' twice. Take one out")
             : unknown_key("its header has the column", column));
  }
  for (const CsvProblem& problem : table.left_out)
    found.leave_out(problem.line,
                    problem.detail.empty() ? problem.kind : concat(problem.kind, ": ", problem.detail));
  for (const CsvRow& row : table.rows) {
    const auto field = [&](std::int64_t column) {
      return column < 0 ? std::string() : row.fields[static_cast<std::size_t>(column)];
    };
    found.add(row.line, field(prompt), field(name), field(seed));
  }
}

std::string known_ending(const std::filesystem::path& file) {
  std::string ending = lower_extension(file);
  if (ending != ".txt" && ending != ".csv" && ending != ".jsonl")
    fail(ErrorKind::usage, "reading the prompts ", file.string(),
         ": its ending tells no format. Use .txt (a prompt a line), .csv or .jsonl");
  return ending;
}

}  // namespace

PromptList parse_prompts(std::string_view bytes, const std::string& file) {
  const std::string ending = known_ending(file);
  const bool is_utf16 = bytes.starts_with("\xFF\xFE") || bytes.starts_with("\xFE\xFF");
  std::string converted;
  if (is_utf16 && ending != ".csv") bytes = converted = decode_text(bytes, file);
  Collector found;
  if (ending == ".csv") {
    read_table(bytes, file, found);
  } else {
    for_each_line(bytes, [&](std::int64_t number, std::string_view line) {
      if (trimmed(line, kBlanks).empty()) return;
      if (const std::size_t broken = find_invalid_utf8(line); broken != std::string_view::npos)
        return found.leave_out(number, concat("byte ", broken + 1, " is no UTF-8"));
      ending == ".txt" ? found.add(number, std::string(line), "", "") : read_object(number, line, found);
    });
  }
  std::sort(found.list.left_out.begin(), found.list.left_out.end(),
            [](const auto& a, const auto& b) { return a.line < b.line; });
  if (found.list.prompts.empty() && found.list.left_out.empty())
    fail(ErrorKind::input, "reading the prompts ", file, ": there are none. Write one a line");
  return std::move(found.list);
}

PromptList read_prompts(const std::filesystem::path& file) {
  (void)known_ending(file);
  return parse_prompts(read_file_text(file, kLargestPromptFile), file.string());
}

}  // namespace omni::data
