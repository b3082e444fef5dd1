#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace omni::data {

struct CsvRow {
  std::int64_t line = 0;  // in the file, from 1, of the row's first character
  std::vector<std::string> fields;
};

// A row that cannot be used.
struct CsvProblem {
  std::int64_t line = 0;
  std::string kind;    // the same for all rows of one kind
  std::string detail;  // of this row; may be empty
};

// A table with a header row.
struct CsvTable {
  std::vector<std::string> columns;
  std::vector<CsvRow> rows;  // each with as many fields as there are columns
  std::vector<CsvProblem> left_out;

  // The position of the column of that name, in any case of letters, or -1.
  std::int64_t find(std::string_view column) const;
};

// RFC 4180, and what programs write in its name: UTF-8 or UTF-16, with or without a byte order mark; fields
// with commas, semicolons, tabs or bars between them, whichever the header has most of or a line "sep=;"
// names; lines that end with LF, CRLF or CR; rows of empty fields, which are skipped; a separator at the end.
// Quoted fields may hold separators, line breaks and doubled quotes. A row with another number of fields than
// the header, a NUL byte, text after a closing quote, or an unclosed quote is left out; where such a quote reaches over
// lines, reading goes on in the one after that in which it was opened. Throws Error(input) naming `name`, line and byte
// for another encoding, and for a missing or broken header.
CsvTable parse_csv(std::string_view bytes, const std::string& name);

// A field as it must be written to survive parse_csv.
std::string csv_field(std::string_view text);

}  // namespace omni::data
