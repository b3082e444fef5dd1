#include <algorithm>
#include <set>

#include "data_set_writer.h"
#include "omni/core/error.h"
#include "omni/core/interrupt.h"
#include "omni/core/log.h"
#include "omni/core/parallel.h"
#include "omni/core/progress.h"
#include "omni/core/random.h"
#include "omni/data/csv.h"
#include "omni/geometry/mesh_field.h"
#include "omni/geometry/mesh_files.h"

namespace omni::data {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kBatch = 32;
// Beyond these a unit has gone wrong, and a data set does not hold such numbers.
constexpr float kSmallestSide = 1e-9f, kLargestSide = 1e9f;

struct Item {
  fs::path file;
  std::string id, class_name;
  std::vector<Caption> captions;
};

// "sub/Big Chair.glb" -> "sub_Big_Chair"; cut to leave room for a suffix.
std::string id_of(const std::string& relative) {
  std::string id = fs::path(relative).replace_extension().generic_string();
  for (char& c : id)
    if (!is_valid_id(std::string_view(&c, 1))) c = '_';
  return id.substr(0, 60);
}

std::string class_of_path(const fs::path& folder, const std::string& relative) {
  const fs::path parent = fs::path(relative).parent_path();
  if (!parent.filename().empty() && parent.filename() != "." && parent.filename() != "..")
    return parent.filename().string();
  return fs::weakly_canonical(folder).filename().string();
}

std::int64_t required_column(const CsvTable& table, std::string_view column, const fs::path& path) {
  const std::int64_t at = table.find(column);
  if (at >= 0) return at;
  std::string found;
  for (const std::string& name : table.columns) found += (found.empty() ? "\"" : ", \"") + name + "\"";
  fail(ErrorKind::input, "reading ", path.string(), ":1: there is no column \"", column, "\"; found ", found,
       ". Name the columns path and caption in the first row");
}

std::string trimmed(const std::string& text) {
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string::npos) return "";
  return text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

// One item per mesh, in the order of its first row.
void read_captions(const ImportFolder& source, std::vector<Item>& items, std::set<std::string>& ids) {
  const CsvTable table = parse_csv(read_file_text(source.captions), source.captions.string());
  const std::int64_t path_column = required_column(table, "path", source.captions);
  const std::int64_t caption_column = required_column(table, "caption", source.captions);
  const std::int64_t class_column = table.find("class");
  std::map<std::string, std::size_t> known;
  for (const CsvRow& row : table.rows) {
    const std::string relative = trimmed(row.fields[path_column]);
    const std::string caption = trimmed(row.fields[caption_column]);
    if (relative.empty())
      fail(ErrorKind::input, "reading ", source.captions.string(), ":", row.line, ": the path is empty");
    const auto [at, is_new] = known.try_emplace(relative, items.size());
    if (is_new) {
      Item item;
      item.file = source.folder / relative;
      item.id = id_of(relative);
      for (int suffix = 2; !ids.insert(item.id).second; ++suffix)
        item.id = id_of(relative) + "-" + std::to_string(suffix);
      if (class_column >= 0) item.class_name = trimmed(row.fields[class_column]);
      if (item.class_name.empty()) item.class_name = class_of_path(source.folder, relative);
      items.push_back(std::move(item));
    }
    if (!caption.empty()) items[at->second].captions.push_back({caption, false});
  }
}

// "" if the mesh can be used, otherwise why not.
std::string defect(const geometry::Mesh& mesh) {
  if (mesh.triangles.empty()) return "it has no triangles";
  for (const geometry::Vec3 p : mesh.positions)
    if (!std::isfinite(p.x) || !std::isfinite(p.y) || !std::isfinite(p.z))
      return "a position is not a finite number";
  return "";
}

std::string_view label_name(geometry::LabelMode mode) {
  if (mode == geometry::LabelMode::winding) return "winding";
  return mode == geometry::LabelMode::flood ? "flood" : "auto";
}

StoredLabel label_of(const geometry::Mesh& mesh, const ImportOptions& options) {
  const geometry::MeshField field(mesh, {.mode = options.label, .epsilon = options.epsilon});
  return {std::string(label_name(field.chosen_mode())), field.orientation_consistency(),
          field.thickens_sheets()};
}

EncodedObject encode_item(const Item& item, const ImportOptions& options,
                          std::span<const geometry::Camera> cameras) {
  ObjectRecord record;
  record.id = item.id;
  record.class_name = item.class_name;
  record.captions = item.captions;
  record.mesh = geometry::read_mesh(item.file);
  if (const std::string what = defect(record.mesh); !what.empty()) fail(ErrorKind::input, what);
  if (options.z_up) {
    for (auto* vectors : {&record.mesh.positions, &record.mesh.normals})
      for (geometry::Vec3& v : *vectors) v = {v.x, v.z, -v.y};
  }
  const geometry::Vec3 extent = record.mesh.bounds().extent();
  geometry::normalise(record.mesh);
  record.longest_side_m = std::max({extent.x, extent.y, extent.z});
  if (!(record.longest_side_m >= kSmallestSide && record.longest_side_m <= kLargestSide)) {
    fail(ErrorKind::input, "its longest side is ", record.longest_side_m, " m. Scale it to between ",
         kSmallestSide, " and ", kLargestSide, " m");
  }
  const double position =
      static_cast<double>(hash_string(item.id) >> 11) / static_cast<double>(std::uint64_t{1} << 53);
  record.split = position < options.held_out_share ? Split::new_instance : Split::train;
  StoredLabel label = label_of(record.mesh, options);
  EncodedObject object = encode_object(std::move(record), cameras, options.render_size);
  object.entry.label = std::move(label);
  return object;
}

}  // namespace

ImportReport import_data_set(const fs::path& out, const ImportOptions& options) {
  const std::vector<geometry::Camera> cameras = canonical_views(options.renders);
  std::vector<Item> items;
  std::set<std::string> ids;
  for (const ImportFolder& folder : options.folders) {
    if (!fs::is_directory(folder.folder))
      fail(ErrorKind::io, "importing '", folder.folder.string(), "': no such folder. Check the path");
    read_captions(folder, items, ids);
  }

  ImportReport report;
  DataSetWriter writer(out);
  Progress progress("meshes", static_cast<std::int64_t>(items.size()), "meshes");
  for (std::size_t start = 0; start < items.size(); start += kBatch) {
    const auto count = static_cast<std::int64_t>(std::min<std::size_t>(kBatch, items.size() - start));
    std::vector<std::optional<EncodedObject>> encoded(count);
    std::vector<std::string> reasons(count);
    parallel_for(count, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        throw_if_interrupted();
        try {
          encoded[i] = encode_item(items[start + i], options, cameras);
        } catch (const Error& error) {
          if (error.kind() == ErrorKind::interrupted) throw;
          reasons[i] = error.what();
        }
      }
    });
    for (std::int64_t i = 0; i < count; ++i) {
      if (encoded[i])
        writer.add(std::move(*encoded[i]));
      else
        report.skipped.push_back({items[start + i].file.string(), reasons[i]});
    }
    progress.advance(count);
  }
  throw_if_interrupted();
  if (writer.size() == 0)
    fail(ErrorKind::input, "importing into '", out.string(), "': none of ", items.size(),
         " meshes could be read",
         report.skipped.empty() ? "" : ". The first: " + report.skipped.front().reason);
  std::string table = "path,reason\n";
  for (const SkippedFile& file : report.skipped)
    table += csv_field(file.path) + "," + csv_field(file.reason) + "\n";
  write_file_atomically(writer.staging_path() / "skipped.csv", table);
  report.imported = writer.size();
  report.labels = writer.labels();
  writer.commit({.source = "import",
                 .label = std::string(label_name(options.label)),
                 .epsilon = options.epsilon,
                 .up = options.z_up ? "z" : "y",
                 .skipped = static_cast<std::int64_t>(report.skipped.size()),
                 .renders = options.renders,
                 .render_size = options.render_size});
  return report;
}

}  // namespace omni::data
