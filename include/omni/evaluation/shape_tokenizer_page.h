#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "omni/evaluation/result_log.h"

namespace omni::evaluation {

// Means over objects at one number of codes.
struct LengthFigures {
  std::int64_t codes = 0;
  std::map<std::string, double> means;  // of the metrics that reconstruct() gives; absent ones are left out
  // The same over the thinnest, the middle and the thickest third of the objects (geometry::mean_thickness).
  std::array<std::map<std::string, double>, 3> thirds;
};
// Ascending in codes. `rows`: one per object and length, with the metrics "codes" and "thickness" among them.
std::vector<LengthFigures> figures_by_length(const std::vector<SampleResult>& rows);

// 2^entropy of the codes at each position, over objects; all need the same number of codes.
std::vector<double> perplexity_by_position(const std::vector<std::vector<std::int32_t>>& codes);

// Which of the offered lengths (ascending) to picture: the longest within an eighth, within a half, and all;
// where some of these are one, the next shorter lengths in their place. At most three, ascending.
std::vector<std::int64_t> pictured_lengths(const std::vector<std::int64_t>& offered);

// A self-contained page: tables, error against the number of codes, perplexity per position, pictures.
struct ShapeTokenizerPage {
  std::string title;
  std::vector<LengthFigures> figures;
  std::vector<std::vector<std::int32_t>> codes;  // of each object, at full length
  std::int64_t vocabulary = 0;
  std::filesystem::path sheet;              // PNG; empty: none
  std::vector<std::int64_t> sheet_lengths;  // the codes behind the pictures that stand beside each original
};
std::string shape_tokenizer_page_html(const ShapeTokenizerPage& page);

}  // namespace omni::evaluation
