// omni tokenizer eval shape: figures over a data set, or a table and a picture sheet of single objects.
#include <algorithm>
#include <array>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <map>
#include <memory>
#include <sstream>

#include "commands.h"
#include "omni/core/error.h"
#include "omni/core/files.h"
#include "omni/core/interrupt.h"
#include "omni/core/progress.h"
#include "omni/data/open_source.h"
#include "omni/evaluation/result_log.h"
#include "omni/evaluation/shape_reconstruction.h"
#include "omni/evaluation/shape_tokenizer_page.h"
#include "omni/geometry/renderer.h"
#include "omni/kernels/cpu_memory.h"
#include "omni/nn/precision.h"
#include "omni/tokenizers/shape_codes_file.h"
#include "omni/tokenizers/tokenizer_set.h"
#include "omni/training/shape_tokenizer_training.h"
#include "options.h"
#include "shape_precision.h"
#include "source_options.h"

namespace omni::tools {
namespace {

namespace fs = std::filesystem;

constexpr int kThumbnail = 128;   // pixels a side, on the sheet
constexpr int kSheetColumns = 8;  // at most; an object's pictures stay together
constexpr std::array<const char*, 6> kMeasures = {"iou", "cd_l1", "f1", "f2", "normals", "colour_error"};

struct EvalArguments {
  std::string tokenizer, out, precision = "fp32";
  data::SourceSpec source{.split = data::Split::new_instance};
  std::int64_t objects = 128, pictures = 24;
  std::uint64_t seed = 1;
};

std::string row_text(const evaluation::SampleResult& row) {
  std::ostringstream text;
  text << row.object;
  for (const char* column : {"codes", "iou", "cd_l1", "f1", "f2", "normals", "colour_error", "thickness"}) {
    const auto found = row.metrics.find(column);
    text << ',';
    if (found != row.metrics.end()) text << found->second;
  }
  return text.str();
}

evaluation::UnitResult measure(const std::vector<evaluation::Reconstruction>& reconstructions,
                               const std::string& key, const data::ObjectRecord& object) {
  evaluation::UnitResult unit{.key = key, .bundle = "", .task = "shape->shape", .setting = "", .samples = {}};
  for (const auto& reconstruction : reconstructions) {
    evaluation::SampleResult row;
    row.object = object.id;
    row.class_name = object.class_name;
    row.metrics = reconstruction.metrics;
    row.metrics["codes"] = static_cast<double>(reconstruction.codes);
    unit.samples.push_back(std::move(row));
  }
  return unit;
}

image::Image picture(const geometry::Mesh& mesh) {
  const geometry::Camera camera{.azimuth_degrees = 30, .elevation_degrees = 30, .distance = 3.6f};
  return geometry::Renderer(mesh).render(camera, {.width = kThumbnail, .height = kThumbnail});
}

// The original beside what the pictured lengths give.
void add_pictures(const data::ObjectRecord& object, const std::vector<evaluation::Reconstruction>& all,
                  const std::vector<std::int64_t>& lengths, std::vector<image::Image>& pictures) {
  pictures.push_back(picture(object.mesh));
  for (const auto& one : all) {
    if (std::ranges::find(lengths, one.codes) == lengths.end()) continue;
    pictures.push_back(one.mesh.triangles.empty() ? image::Image(kThumbnail, kThumbnail, 3, 255)
                                                  : picture(one.mesh));
  }
}

void print_row(const std::string& name, const std::map<std::string, double>& means) {
  std::printf("%-16s", name.c_str());
  for (const char* measure : kMeasures) {
    const auto found = means.find(measure);
    if (found == means.end())
      std::printf(" %12s", "-");
    else
      std::printf(" %12.4f", found->second);
  }
  std::printf("\n");
}

void print_figures(const std::vector<evaluation::LengthFigures>& figures) {
  std::printf("%-16s", "codes");
  for (const char* measure : kMeasures) std::printf(" %12s", measure);
  std::printf("\n");
  for (const auto& length : figures) {
    print_row(std::to_string(length.codes), length.means);
    print_row("  thinnest third", length.thirds[0]);
    print_row("  middle third", length.thirds[1]);
    print_row("  thickest third", length.thirds[2]);
  }
}

// What the evaluation of single objects leaves behind.
struct TableState {
  std::vector<evaluation::SampleResult> rows;
  std::vector<std::vector<std::int32_t>> codes;  // of each object, at full length
  std::vector<image::Image> pictures;
};

// Measures one object, or reads back what an earlier, stopped run measured.
void add_object(const tokenizers::ShapeTokenizer& tokenizer, const data::ObjectSource& source,
                std::int64_t index, const std::string& key, bool pictured, const EvalArguments& arguments,
                evaluation::ResultLog& log, TableState& state) {
  const fs::path codes_file = fs::path(arguments.out) / "codes" / (std::to_string(hash_string(key)) + ".npy");
  if (log.find(key) == nullptr || pictured || !fs::exists(codes_file)) {
    const data::ObjectRecord object = source.load(index);
    const auto reconstructions = evaluation::reconstruct(tokenizer, object, arguments.seed);
    if (pictured)
      add_pictures(object, reconstructions, evaluation::pictured_lengths(tokenizer.offered_lengths()),
                   state.pictures);
    tokenizers::write_shape_codes(codes_file, reconstructions.back().shape_codes);
    if (log.find(key) == nullptr) log.append(measure(reconstructions, key, object));
  }
  const auto& samples = log.find(key)->samples;
  state.rows.insert(state.rows.end(), samples.begin(), samples.end());
  state.codes.push_back(tokenizers::read_shape_codes(codes_file).geometry);
}

void write_results(const tokenizers::ShapeTokenizer& tokenizer, const TableState& state,
                   const fs::path& out) {
  std::string table = "object,codes,iou,cd_l1,f1,f2,normals,colour_error,thickness\n";
  for (const auto& row : state.rows) table += row_text(row) + '\n';
  write_file_atomically(out / "reconstructions.csv", std::string_view(table));
  evaluation::ShapeTokenizerPage page{
      .title = "Shape tokenizer",
      .figures = evaluation::figures_by_length(state.rows),
      .codes = state.codes,
      .vocabulary = tokenizer.geometry_vocabulary(),
      .sheet = {},
      .sheet_lengths = evaluation::pictured_lengths(tokenizer.offered_lengths())};
  if (!state.pictures.empty()) {
    page.sheet = out / "sheet.png";
    const auto object_pictures = static_cast<int>(1 + page.sheet_lengths.size());
    image::write_png(page.sheet,
                     image::contact_sheet(state.pictures, kSheetColumns / object_pictures * object_pictures));
  }
  std::string positions = "position,perplexity\n";
  const std::vector<double> perplexity = evaluation::perplexity_by_position(state.codes);
  for (std::size_t i = 0; i < perplexity.size(); ++i) positions += concat(i, ',', perplexity[i], '\n');
  write_file_atomically(out / "perplexity.csv", std::string_view(positions));
  write_file_atomically(out / "report.html", std::string_view(evaluation::shape_tokenizer_page_html(page)));
  print_figures(page.figures);
}

// One row per object and length.
void write_table(const tokenizers::TokenizerSet& set, const data::ObjectSource& source,
                 const EvalArguments& arguments) {
  prepare_output_directory(arguments.out);
  const fs::path out(arguments.out);
  fs::create_directories(out / "codes");
  evaluation::ResultLog log(out / "results.jsonl");
  const tokenizers::ShapeTokenizer& tokenizer = *set.shape();
  const std::string key_start = concat("2-", set.format().shape.tokenizer, '-', source.fingerprint(), '-',
                                       arguments.precision, '-', arguments.seed);
  const std::int64_t count = std::min(arguments.objects, source.size());
  TableState state;
  std::int64_t skipped = 0;
  Progress progress("reconstructing", count, "objects");
  for (std::int64_t i = 0; i < count; ++i) {
    throw_if_interrupted();
    const std::int64_t index = i * source.size() / count;  // spread over the classes
    const std::string key = concat(key_start, '-', index);
    try {
      add_object(tokenizer, source, index, key, i < arguments.pictures, arguments, log, state);
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::input) throw;
      std::cerr << "skipped: " << error.what() << '\n';
      ++skipped;
    }
    progress.advance();
  }
  if (state.rows.empty())
    fail(ErrorKind::input, "evaluating a shape tokenizer: no object could be read. Check the meshes");
  write_results(tokenizer, state, out);
  std::printf("%lld objects, %lld skipped\nsaved: %s\n", static_cast<long long>(count - skipped),
              static_cast<long long>(skipped), arguments.out.c_str());
}

void eval_shape(const EvalArguments& arguments) {
  kernels::keep_freed_memory();
  tokenizers::TokenizerSet set = tokenizers::TokenizerSet::load({.shape = arguments.tokenizer});
  set.shape()->compute_in(nn::precision_type(arguments.precision));
  const auto source = data::open_source(arguments.source);
  if (!arguments.out.empty()) return write_table(set, *source, arguments);
  std::cout << training::to_text(
      training::evaluate_shape_tokenizer(*set.shape(), *source, arguments.objects, arguments.seed));
}

}  // namespace

void add_tokenizer_eval_shape_command(CLI::App& eval) {
  CLI::App* shape = eval.add_subcommand(
      "shape", "volume IoU, part colours and code use on held-out objects; with --out a table and pictures");
  const auto arguments = std::make_shared<EvalArguments>();
  shape->add_option("tokenizer", arguments->tokenizer, "folder of the shape tokenizer")->required();
  add_source_options(*shape, arguments->source, ",--data,--meshes");
  add_split_option(*shape, arguments->source);
  add_number(*shape, "--objects", arguments->objects, {1, 1e6}, "objects of the split");
  add_number(*shape, "--seed", arguments->seed, kSeeds, "which objects, and their surface points");
  shape->add_option(
      "--out", arguments->out,
      "folder for reconstructions.csv (a row per object and number of codes), report.html (error and "
      "perplexity against the number of codes), codes/, results.jsonl (goes on where it stopped) and "
      "sheet.png (each original beside a few numbers of its codes)");
  add_number(*shape, "--pictures", arguments->pictures, {0, 1024}, "objects on the sheet");
  add_precision_option(shape, arguments->precision);
  shape->callback([arguments] { eval_shape(*arguments); });
}

}  // namespace omni::tools
