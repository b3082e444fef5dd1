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

// A comma-separated table with a header row.
struct CsvTable {
  std::vector<std::string> columns;
  std::vector<CsvRow> rows;

  // The column's position, or -1.
  std::int64_t find(std::string_view column) const;
};

// RFC 4180: quoted fields may hold commas, line breaks and doubled quotes; lines end with LF or CRLF; a
// byte-order mark and empty lines are skipped. Throws Error(input) naming `name` and the line for an unclosed
// quote, text after a closing quote, a row with another number of fields than the header, a NUL byte, or a
// missing header.
CsvTable parse_csv(std::string_view text, const std::string& name);

// A field as it must be written to survive parse_csv.
std::string csv_field(std::string_view text);

}  // namespace omni::data
