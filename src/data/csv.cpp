#include "omni/data/csv.h"

#include <algorithm>

#include "omni/core/error.h"

namespace omni::data {
namespace {

class CsvReader {
 public:
  CsvReader(std::string_view text, const std::string& name) : text_(text), name_(name) {
    if (text_.starts_with("\xEF\xBB\xBF")) at_ = 3;
  }

  bool at_end() const { return at_ >= text_.size(); }

  CsvRow row() {
    CsvRow row;
    row.line = line_;
    row.fields.push_back(field());
    while (!at_end() && text_[at_] == ',') {
      ++at_;
      row.fields.push_back(field());
    }
    end_of_line();
    return row;
  }

 private:
  std::string field() {
    if (!at_end() && text_[at_] == '"') return quoted();
    std::string out;
    while (!at_end() && text_[at_] != ',' && !line_break()) {
      if (text_[at_] == '\0') fail_here("a NUL byte; the file is not text");
      out += text_[at_++];
    }
    return out;
  }

  std::string quoted() {
    const std::int64_t opened = line_;
    std::string out;
    for (++at_;; ++at_) {
      if (at_end())
        fail(ErrorKind::input, "reading ", name_, ":", opened,
             ": a quoted field is never closed. Add the missing \"");
      const char c = text_[at_];
      if (c == '\n') ++line_;
      if (c == '"') {
        if (at_ + 1 < text_.size() && text_[at_ + 1] == '"') {
          ++at_;
        } else {
          ++at_;
          break;
        }
      }
      if (c == '\0') fail_here("a NUL byte; the file is not text");
      out += c;
    }
    if (!at_end() && text_[at_] != ',' && !line_break())
      fail_here("text after the closing quote of a field. Double the quotes inside it");
    return out;
  }

  bool line_break() const {
    return text_[at_] == '\n' || (text_[at_] == '\r' && (at_ + 1 == text_.size() || text_[at_ + 1] == '\n'));
  }

  void end_of_line() {
    if (at_end()) return;
    if (text_[at_] == '\r') ++at_;
    if (!at_end() && text_[at_] == '\n') ++at_;
    ++line_;
  }

  [[noreturn]] void fail_here(std::string_view what) const {
    fail(ErrorKind::input, "reading ", name_, ":", line_, ": ", what, ".");
  }

  std::string_view text_;
  const std::string& name_;
  std::size_t at_ = 0;
  std::int64_t line_ = 1;
};

}  // namespace

std::int64_t CsvTable::find(std::string_view column) const {
  const auto at = std::find(columns.begin(), columns.end(), column);
  return at == columns.end() ? -1 : at - columns.begin();
}

CsvTable parse_csv(std::string_view text, const std::string& name) {
  CsvReader reader(text, name);
  CsvTable table;
  while (!reader.at_end()) {
    CsvRow row = reader.row();
    if (row.fields.size() == 1 && row.fields[0].empty()) continue;
    if (table.columns.empty()) {
      table.columns = std::move(row.fields);
      continue;
    }
    if (row.fields.size() != table.columns.size())
      fail(ErrorKind::input, "reading ", name, ":", row.line, ": ", row.fields.size(),
           " fields where the header has ", table.columns.size(), ". Put fields with commas in quotes");
    table.rows.push_back(std::move(row));
  }
  if (table.columns.empty())
    fail(ErrorKind::input, "reading ", name, ": the file is empty. Its first row names the columns");
  return table;
}

std::string csv_field(std::string_view text) {
  if (!text.empty() && text.find_first_of(",\"\r\n") == std::string_view::npos) return std::string(text);
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"') out += '"';
    out += c;
  }
  return out + "\"";
}

}  // namespace omni::data
