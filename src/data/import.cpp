#include <optional>

#include "data_set_writer.h"
#include "import_items.h"
#include "mesh_object.h"
#include "omni/core/error.h"
#include "omni/core/interrupt.h"
#include "omni/core/output_folder.h"
#include "omni/core/parallel.h"
#include "omni/core/progress.h"
#include "omni/core/random.h"
#include "omni/core/utf8.h"
#include "omni/data/canonical_views.h"
#include "omni/data/csv.h"
#include "omni/geometry/mesh_field.h"

namespace omni::data {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kBatch = 32;

void check(const ImportOptions& options) {
  const auto require = [](bool holds, const auto&... reason) {
    if (!holds) fail(ErrorKind::usage, "importing meshes: ", reason...);
  };
  // Written so that what is no number fails, too.
  require(options.held_out_share >= 0 && options.held_out_share <= 1, "the held-out share is ",
          options.held_out_share, ". Give a number from 0 to 1");
  require(contains(geometry::kEpsilons, options.epsilon), "epsilon is ", options.epsilon, ". Give a number ",
          range_text(geometry::kEpsilons));
  check_renders(options.renders, options.render_size);
}

StoredLabel label_of(const geometry::Mesh& mesh, const ImportOptions& options) {
  const geometry::MeshField field(mesh, {.mode = options.label, .epsilon = options.epsilon});
  return {field.chosen_mode(), field.orientation_consistency(), field.thickens_sheets()};
}

EncodedObject encode_item(const ImportItem& item, const ImportOptions& options,
                          std::span<const geometry::Camera> cameras, std::vector<std::string>& warnings) {
  ObjectRecord record;
  record.id = item.id;
  record.class_name = item.class_name;
  record.captions = item.captions;
  read_mesh_object(item.file, options.z_up, record, warnings);
  const double position =
      static_cast<double>(hash_string(item.id) >> 11) / static_cast<double>(std::uint64_t{1} << 53);
  record.split = position < options.held_out_share ? Split::new_instance : Split::train;
  StoredLabel label = label_of(record.mesh, options);
  EncodedObject object = encode_object(std::move(record), cameras, options.render_size);
  object.entry.label = std::move(label);
  return object;
}

// Paths and what they are quoted in may hold bytes that are not UTF-8, which the table is.
std::string table_row(const std::string& path, const std::string& text) {
  return csv_field(printable_message(path)) + "," + csv_field(printable_message(text)) + "\n";
}

}  // namespace

ImportReport import_data_set(const fs::path& out, const ImportOptions& options) {
  check(options);
  for (const ImportFolder& source : options.folders) require_outside(source.folder, out);
  const std::vector<geometry::Camera> cameras = canonical_views(options.renders);
  ImportReport report;
  const std::vector<ImportItem> items = list_import_items(options.folders, report.warnings);

  DataSetWriter writer(out);
  Progress progress("meshes", static_cast<std::int64_t>(items.size()), "meshes");
  for (std::size_t start = 0; start < items.size(); start += kBatch) {
    const auto count = static_cast<std::int64_t>(std::min<std::size_t>(kBatch, items.size() - start));
    std::vector<std::optional<EncodedObject>> encoded(count);
    std::vector<std::string> reasons(count);
    std::vector<std::vector<std::string>> warnings(count);
    parallel_for(count, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        throw_if_interrupted();
        try {
          encoded[i] = encode_item(items[start + i], options, cameras, warnings[i]);
        } catch (const Error& error) {
          if (error.kind() == ErrorKind::interrupted) throw;
          reasons[i] = error.what();
        }
      }
    });
    for (std::int64_t i = 0; i < count; ++i) {
      const std::string path = items[start + i].file.string();
      for (std::string& warning : warnings[i]) report.warnings.push_back({path, std::move(warning)});
      if (encoded[i])
        writer.add(std::move(*encoded[i]));
      else
        report.skipped.push_back({path, reasons[i]});
    }
    progress.advance(count);
  }
  throw_if_interrupted();
  if (writer.size() == 0)
    fail(ErrorKind::input, "importing into '", out.string(), "': none of ", items.size(),
         " meshes could be read",
         report.skipped.empty() ? "" : ". The first: " + report.skipped.front().reason);
  std::string skipped = "path,reason\n", warnings = "path,warning\n";
  for (const SkippedFile& file : report.skipped) skipped += table_row(file.path, file.reason);
  for (const FileWarning& file : report.warnings) warnings += table_row(file.path, file.warning);
  write_file_atomically(writer.staging_path() / "skipped.csv", skipped);
  write_file_atomically(writer.staging_path() / "warnings.csv", warnings);
  report.imported = writer.size();
  report.labels = writer.labels();
  writer.commit({.source = "import",
                 .label = options.label,
                 .epsilon = options.epsilon,
                 .up = options.z_up ? "z" : "y",
                 .skipped = static_cast<std::int64_t>(report.skipped.size()),
                 .renders = options.renders,
                 .render_size = options.render_size});
  return report;
}

}  // namespace omni::data
