#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "omni/data/object_source.h"
#include "omni/evaluation/shape_tokenizer_page.h"
#include "omni/tokenizers/shape_tokenizer.h"

namespace omni::evaluation {

struct ShapeTableOptions {
  std::filesystem::path out;
  std::int64_t objects = 128;  // spread evenly over the source
  std::int64_t pictures = 24;  // of the first objects, on the sheet
  std::uint64_t seed = 1;      // of surface points
  // What else decides the figures: an earlier run's results count where this is the same.
  std::uint64_t tokenizer_fingerprint = 0;
  std::string precision = "fp32";
};

struct ShapeTable {
  std::vector<LengthFigures> figures;
  std::int64_t objects = 0, skipped = 0;
};

// What a tokenizer keeps of each object at each number of codes. Writes into options.out:
//   reconstructions.csv  a row per object and length
//   report.html          see ShapeTokenizerPage
//   sheet.png            originals beside reconstructions
//   perplexity.csv       of the codes at each position
//   codes/               of each object, at full length
//   results.jsonl        goes on where an earlier run stopped
// Objects that cannot be read are skipped with a warning. Throws Error(input) where none can, Error(io),
// Error(interrupted).
ShapeTable measure_shape_tokenizer(const tokenizers::ShapeTokenizer& tokenizer,
                                   const data::ObjectSource& source, const ShapeTableOptions& options);

// For a terminal.
std::string to_text(const std::vector<LengthFigures>& figures);

}  // namespace omni::evaluation
