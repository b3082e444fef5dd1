#include "omni/evaluation/shape_tokenizer_table.h"

#include <algorithm>
#include <array>
#include <iomanip>
#include <map>
#include <sstream>

#include "omni/core/error.h"
#include "omni/core/files.h"
#include "omni/core/interrupt.h"
#include "omni/core/log.h"
#include "omni/core/progress.h"
#include "omni/core/random.h"
#include "omni/core/text_format.h"
#include "omni/data/shape_sample.h"
#include "omni/evaluation/result_log.h"
#include "omni/evaluation/roughness.h"
#include "omni/generation/shape_reconstruction.h"
#include "omni/geometry/renderer.h"
#include "omni/image/label.h"
#include "omni/tokenizers/shape_codes_file.h"

namespace omni::evaluation {
namespace {

namespace fs = std::filesystem;

constexpr int kColouredPoints = 2048;
constexpr int kThumbnail = 128;   // pixels a side, on the sheet
constexpr int kSheetColumns = 8;  // at most; an object's pictures stay together
// Of reconstructions.csv, after the object.
constexpr std::array<const char*, 9> kColumns = {"codes",   "iou",       "cd_l1",        "f1",       "f2",
                                                 "normals", "roughness", "colour_error", "thickness"};
constexpr std::array<const char*, 7> kMeasures = {"iou",     "cd_l1",     "f1",          "f2",
                                                  "normals", "roughness", "colour_error"};

generation::ShapeReconstruction reconstruct(const tokenizers::ShapeTokenizer& tokenizer,
                                            const data::ObjectRecord& object, std::uint64_t seed) {
  const auto sample = data::make_shape_sample(object, tokenizer.required_input(), CounterRng(seed, 1));
  const auto coloured =
      data::make_shape_sample(object, {.surface_points = kColouredPoints}, CounterRng(seed, 2)).surface;
  return generation::reconstruct(tokenizer, {object.mesh, *object.field, sample, coloured},
                                 {.surfaces = true, .surface_points = CounterRng(seed, 3)});
}

// Measures that do not apply are absent.
std::map<std::string, double> metrics_of(const generation::Reconstruction& one, double thickness) {
  std::map<std::string, double> metrics = {{"codes", static_cast<double>(one.codes.geometry.size())},
                                           {"thickness", thickness},
                                           {"iou", one.volume_iou}};
  if (one.colour_error) metrics["colour_error"] = *one.colour_error;
  if (one.surface) {
    metrics["cd_l1"] = one.surface->chamfer_l1;
    metrics["f1"] = one.surface->f_score_1;
    metrics["f2"] = one.surface->f_score_2;
    metrics["normals"] = one.surface->normal_consistency;
    metrics["roughness"] = dihedral_roughness(one.mesh);
  }
  return metrics;
}

UnitResult rows_of(const generation::ShapeReconstruction& all, const std::string& key,
                   const data::ObjectRecord& object) {
  UnitResult unit{.key = key, .bundle = "", .task = "shape->shape", .setting = "", .samples = {}};
  for (const auto& one : all.lengths) {
    SampleResult row;
    row.object = object.id;
    row.class_name = object.class_name;
    row.metrics = metrics_of(one, all.thickness);
    unit.samples.push_back(std::move(row));
  }
  return unit;
}

std::string row_text(const SampleResult& row) {
  std::ostringstream text;
  text << row.object;
  for (const char* column : kColumns) {
    const auto found = row.metrics.find(column);
    text << ',';
    if (found != row.metrics.end()) text << found->second;
  }
  return text.str();
}

image::Image picture(const geometry::Mesh& mesh, const std::string& label) {
  if (mesh.triangles.empty()) return image::labelled(image::Image(kThumbnail, kThumbnail, 3, 255), label);
  const geometry::Camera camera{.azimuth_degrees = 30, .elevation_degrees = 30};
  return image::labelled(geometry::Renderer(mesh).render(fitted(camera, mesh.positions),
                                                         {.width = kThumbnail, .height = kThumbnail}),
                         label);
}

// The original beside what the pictured lengths give.
void add_pictures(const data::ObjectRecord& object, const generation::ShapeReconstruction& all,
                  const std::vector<std::int64_t>& lengths, std::vector<image::Image>& pictures) {
  pictures.push_back(picture(object.mesh, "original"));
  for (const auto& one : all.lengths) {
    const auto codes = static_cast<std::int64_t>(one.codes.geometry.size());
    if (std::ranges::find(lengths, codes) == lengths.end()) continue;
    pictures.push_back(picture(one.mesh, concat(codes, codes == 1 ? " code" : " codes")));
  }
}

class Table {
 public:
  Table(const tokenizers::ShapeTokenizer& tokenizer, const data::ObjectSource& source,
        const ShapeTableOptions& options)
      : tokenizer_(tokenizer),
        source_(source),
        options_(options),
        key_start_(concat("3-", options.tokenizer_fingerprint, '-', source.fingerprint(), '-',
                          options.precision, '-', options.seed, '-')),
        log_(options.out / "results.jsonl") {}

  // Measures one object, or reads back what an earlier run measured.
  void add(std::int64_t index, bool pictured) {
    const std::string key = concat(key_start_, index);
    const fs::path codes_file = options_.out / "codes" / (std::to_string(hash_string(key)) + ".npy");
    if (log_.find(key) == nullptr || pictured || !fs::exists(codes_file)) {
      const data::ObjectRecord object = source_.load(index);
      const auto all = reconstruct(tokenizer_, object, options_.seed);
      if (pictured) add_pictures(object, all, pictured_lengths(tokenizer_.offered_lengths()), pictures_);
      tokenizers::write_shape_codes(codes_file, all.lengths.back().codes);
      if (log_.find(key) == nullptr) log_.append(rows_of(all, key, object));
    }
    const auto& samples = log_.find(key)->samples;
    rows_.insert(rows_.end(), samples.begin(), samples.end());
    codes_.push_back(tokenizers::read_shape_codes(codes_file).geometry);
  }

  bool empty() const { return rows_.empty(); }

  std::vector<LengthFigures> write() const {
    std::string table = "object";
    for (const char* column : kColumns) table += concat(',', column);
    table += '\n';
    for (const auto& row : rows_) table += row_text(row) + '\n';
    write_file_atomically(options_.out / "reconstructions.csv", std::string_view(table));
    std::string positions = "position,perplexity\n";
    const std::vector<double> perplexity = perplexity_by_position(codes_);
    for (std::size_t i = 0; i < perplexity.size(); ++i) positions += concat(i, ',', perplexity[i], '\n');
    write_file_atomically(options_.out / "perplexity.csv", std::string_view(positions));
    const ShapeTokenizerPage page = page_with_sheet();
    write_file_atomically(options_.out / "report.html", std::string_view(shape_tokenizer_page_html(page)));
    return page.figures;
  }

 private:
  ShapeTokenizerPage page_with_sheet() const {
    ShapeTokenizerPage page{.title = "Shape tokenizer",
                            .figures = figures_by_length(rows_),
                            .codes = codes_,
                            .vocabulary = tokenizer_.geometry_vocabulary(),
                            .sheet = {},
                            .sheet_lengths = pictured_lengths(tokenizer_.offered_lengths())};
    if (pictures_.empty()) return page;
    page.sheet = options_.out / "sheet.png";
    const auto object_pictures = static_cast<int>(1 + page.sheet_lengths.size());
    image::write_png(page.sheet,
                     image::contact_sheet(pictures_, kSheetColumns / object_pictures * object_pictures));
    return page;
  }

  const tokenizers::ShapeTokenizer& tokenizer_;
  const data::ObjectSource& source_;
  const ShapeTableOptions& options_;
  std::string key_start_;  // of every object's key; a source may read all its files to tell its fingerprint
  ResultLog log_;
  std::vector<SampleResult> rows_;
  std::vector<std::vector<std::int32_t>> codes_;  // of each object, at full length
  std::vector<image::Image> pictures_;
};

using Cells = std::array<std::string, kMeasures.size()>;

std::string line_of(const std::string& name, const Cells& cells) {
  std::ostringstream line;
  line << std::left << std::setw(16) << name << std::right;
  for (const std::string& cell : cells) line << ' ' << std::setw(12) << cell;
  line << '\n';
  return line.str();
}

Cells cells_of(const std::map<std::string, double>& means) {
  Cells cells;
  for (std::size_t i = 0; i < kMeasures.size(); ++i) {
    const auto found = means.find(kMeasures[i]);
    cells[i] = found == means.end() ? "-" : with_decimals(found->second, 4);
  }
  return cells;
}

}  // namespace

ShapeTable measure_shape_tokenizer(const tokenizers::ShapeTokenizer& tokenizer,
                                   const data::ObjectSource& source, const ShapeTableOptions& options) {
  prepare_output_directory(options.out / "codes");
  Table table(tokenizer, source, options);
  const std::int64_t count = std::min(options.objects, source.size());
  ShapeTable result;
  Progress progress("reconstructing", count, "objects");
  for (std::int64_t i = 0; i < count; ++i) {
    throw_if_interrupted();
    try {
      table.add(i * source.size() / count, i < options.pictures);  // spread over the classes
      ++result.objects;
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::input) throw;
      log_warning("skipped: ", error.what());
      ++result.skipped;
    }
    progress.advance();
  }
  if (table.empty())
    fail(ErrorKind::input, "evaluating a shape tokenizer: no object could be read. Check the meshes");
  result.figures = table.write();
  return result;
}

std::string to_text(const std::vector<LengthFigures>& figures) {
  Cells titles;
  std::copy(kMeasures.begin(), kMeasures.end(), titles.begin());
  std::string text = line_of("codes", titles);
  for (const LengthFigures& length : figures) {
    text += line_of(std::to_string(length.codes), cells_of(length.means));
    text += line_of("  thinnest third", cells_of(length.thirds[0]));
    text += line_of("  middle third", cells_of(length.thirds[1]));
    text += line_of("  thickest third", cells_of(length.thirds[2]));
  }
  return text;
}

}  // namespace omni::evaluation
