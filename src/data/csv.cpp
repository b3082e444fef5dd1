#include "omni/data/csv.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <optional>

#include "omni/core/error.h"
#include "omni/core/utf8.h"
#include "trimmed.h"

namespace omni::data {
namespace {

constexpr std::string_view kBlanks = " \t\r\n\v\f";

std::string_view first_row(std::string_view text) {
  while (!text.empty() && (text.front() == '\n' || text.front() == '\r')) text.remove_prefix(1);
  return text.substr(0, text.find_first_of("\r\n"));
}

// Whichever of the usual separators the header has most of, outside of quotes.
char delimiter_of(std::string_view header) {
  constexpr std::array kDelimiters = {',', ';', '\t', '|'};
  std::array<int, kDelimiters.size()> counts{};
  bool quoted = false;
  for (const char c : header) {
    quoted ^= c == '"';
    for (std::size_t i = 0; i < kDelimiters.size() && !quoted; ++i) counts[i] += c == kDelimiters[i];
  }
  return kDelimiters[static_cast<std::size_t>(std::max_element(counts.begin(), counts.end()) -
                                              counts.begin())];
}

class CsvReader {
 public:
  explicit CsvReader(std::string_view text) : text_(text) {
    // Excel's own first line, which names the separator.
    const std::string_view first = first_row(text);
    if (first.size() == 5 && first.starts_with("sep=")) {
      delimiter_ = first.back();
      at_ = static_cast<std::size_t>(first.data() + first.size() - text.data());
      line_ += std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(at_), '\n');
      end_of_line();
    } else {
      delimiter_ = delimiter_of(first);
    }
  }

  bool at_end() const { return at_ >= text_.size(); }
  std::int64_t line() const { return line_; }

  // Empty where the row is broken, with why in `problem`.
  std::optional<CsvRow> row(std::string& problem) {
    CsvRow row;
    row.line = line_;
    problem.clear();
    row.fields.push_back(field(problem));
    while (!at_end() && text_[at_] == delimiter_ && problem.empty()) {
      ++at_;
      row.fields.push_back(field(problem));
    }
    if (!problem.empty())
      while (!at_end() && !line_break()) ++at_;
    end_of_line();
    for (const std::string& field : row.fields)
      if (field.find('\0') != std::string::npos) problem = "a NUL byte";
    return problem.empty() ? std::optional(std::move(row)) : std::nullopt;
  }

 private:
  std::string field(std::string& problem) {
    // Blanks before a quote belong to no field.
    std::size_t quote = at_;
    while (quote < text_.size() && text_[quote] == ' ') ++quote;
    if (quote < text_.size() && text_[quote] == '"') {
      at_ = quote;
      return quoted(problem);
    }
    const std::size_t begin = at_;
    while (!at_end() && text_[at_] != delimiter_ && !line_break()) ++at_;
    return std::string(text_.substr(begin, at_ - begin));
  }

  std::string quoted(std::string& problem) {
    const std::int64_t opened = line_;
    const std::size_t quote = at_;
    std::string out;
    for (++at_;; ++at_) {
      if (at_end()) {
        problem = "a quoted field is never closed; add the missing \"";
        return go_back(quote, opened);
      }
      const char c = text_[at_];
      if (c == '\n' || (c == '\r' && (at_ + 1 == text_.size() || text_[at_ + 1] != '\n'))) ++line_;
      if (c == '"') {
        if (at_ + 1 < text_.size() && text_[at_ + 1] == '"') {
          ++at_;
        } else {
          ++at_;
          break;
        }
      }
      out += c;
    }
    while (!at_end() && text_[at_] == ' ') ++at_;
    if (at_end() || text_[at_] == delimiter_ || line_break()) return out;
    problem = "text after the closing quote of a field; double the quotes inside it";
    if (line_ > opened) {
      problem = "a quoted field is not closed before another one; add the missing \"";
      return go_back(quote, opened);
    }
    return out;
  }

  // So that a quote that is never closed costs its own line, and not those that it reaches over: nothing of them is kept.
  std::string go_back(std::size_t place, std::int64_t line) {
    at_ = place;
    line_ = line;
    return "";
  }

  bool line_break() const { return text_[at_] == '\n' || text_[at_] == '\r'; }

  void end_of_line() {
    if (at_end()) return;
    if (text_[at_] == '\r') ++at_;
    if (!at_end() && text_[at_] == '\n') ++at_;
    ++line_;
  }

  std::string_view text_;
  char delimiter_ = ',';
  std::size_t at_ = 0;
  std::int64_t line_ = 1;
};

bool is_blank(const CsvRow& row) {
  return std::all_of(row.fields.begin(), row.fields.end(),
                     [](const std::string& field) { return trimmed(field, kBlanks).empty(); });
}

// Fields without a column that hold nothing are what a separator at the end of the line leaves.
void drop_trailing_blanks(std::vector<std::string>& fields, std::size_t columns) {
  while (fields.size() > columns && trimmed(fields.back(), kBlanks).empty()) fields.pop_back();
}

}  // namespace

std::int64_t CsvTable::find(std::string_view column) const {
  const auto same = [&](const std::string& name) {
    return std::equal(name.begin(), name.end(), column.begin(), column.end(),
                      [](unsigned char a, unsigned char b) { return std::tolower(a) == std::tolower(b); });
  };
  const auto at = std::find_if(columns.begin(), columns.end(), same);
  return at == columns.end() ? -1 : at - columns.begin();
}

CsvTable parse_csv(std::string_view bytes, const std::string& name) {
  const std::string text = decode_text(bytes, name);
  CsvReader reader(text);
  CsvTable table;
  std::string problem;
  while (!reader.at_end()) {
    const std::int64_t line = reader.line();
    std::optional<CsvRow> row = reader.row(problem);
    if (!row) {
      if (table.columns.empty()) fail(ErrorKind::input, "reading ", name, ":", line, ": ", problem);
      table.left_out.push_back({line, problem, ""});
      continue;
    }
    if (is_blank(*row)) continue;
    if (table.columns.empty()) {
      for (const std::string& column : row->fields) table.columns.emplace_back(trimmed(column, kBlanks));
      drop_trailing_blanks(table.columns, 1);
      continue;
    }
    drop_trailing_blanks(row->fields, table.columns.size());
    if (row->fields.size() == table.columns.size())
      table.rows.push_back(std::move(*row));
    else
      table.left_out.push_back({row->line,
                                "another number of fields than the header; put fields with commas in quotes",
                                concat(row->fields.size(), " fields instead of ", table.columns.size())});
  }
  if (table.columns.empty())
    fail(ErrorKind::input, "reading ", name, ": the file is empty. Its first row names the columns");
  return table;
}

std::string csv_field(std::string_view text) {
  const bool plain =
      text == trimmed(text, kBlanks) && text.find_first_of(",;\t|\"\r\n") == std::string_view::npos;
  if (!text.empty() && plain) return std::string(text);
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"') out += '"';
    out += c;
  }
  return out + "\"";
}

}  // namespace omni::data
