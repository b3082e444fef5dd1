#include "import_items.h"

#include <algorithm>
#include <map>

#include "mesh_object.h"
#include "object_entry.h"
#include "omni/core/error.h"
#include "omni/core/files.h"
#include "omni/core/utf8.h"
#include "omni/data/csv.h"
#include "trimmed.h"

namespace omni::data {
namespace {

namespace fs = std::filesystem;

// "sub/Big Chair.glb" -> "sub_Big_Chair"; cut to leave room for a suffix.
std::string id_of(const std::string& relative) {
  std::string id = fs::path(relative).replace_extension().generic_string();
  for (char& c : id)
    if (!is_valid_id(std::string_view(&c, 1))) c = '_';
  return id.substr(0, 60);
}

// The items of one import, with ids of their own.
class ItemList {
 public:
  // `relative` to the folder; returns where it stands.
  std::size_t add(const fs::path& folder, const std::string& relative) {
    ImportItem item;
    item.file = folder / relative;
    item.id = id_of(relative);
    for (int suffix = 2; !ids_.insert(item.id).second; ++suffix)
      item.id = id_of(relative) + "-" + std::to_string(suffix);
    item.class_name = class_of_path(folder, relative);
    if (!is_utf8(item.class_name)) item.class_name = printable(item.class_name);
    items.push_back(std::move(item));
    return items.size() - 1;
  }

  std::vector<ImportItem> items;

 private:
  std::set<std::string> ids_;
};

std::int64_t required_column(const CsvTable& table, std::string_view column, const fs::path& path) {
  const std::int64_t at = table.find(column);
  if (at >= 0) return at;
  std::string found;
  for (const std::string& name : table.columns)
    found += (found.empty() ? "\"" : ", \"") + printable(name) + "\"";
  fail(ErrorKind::input, "reading ", path.string(), ":1: there is no column \"", column, "\"; found ", found,
       ". Name the columns path and caption in the first row");
}

constexpr std::string_view kBlanks = " \t\r\n";

// The path as it lies in the folder: tables from Windows have back slashes.
std::string path_in(const fs::path& folder, std::string relative) {
  std::error_code error;
  if (relative.find('\\') == std::string::npos || fs::exists(folder / relative, error)) return relative;
  std::replace(relative.begin(), relative.end(), '\\', '/');
  return relative;
}

// One warning for each kind of row that is left out.
void warn_of_rows(const std::vector<CsvProblem>& problems, const std::string& table,
                  std::vector<FileWarning>& warnings) {
  std::map<std::string, std::vector<const CsvProblem*>> kinds;
  for (const CsvProblem& problem : problems) kinds[problem.kind].push_back(&problem);
  for (const auto& [kind, rows] : kinds) {
    const CsvProblem& first = *rows.front();
    warnings.push_back(
        {table, concat("is read without rows of ", kind, " (", rows.size(), ", the first: line ", first.line,
                       first.detail.empty() ? "" : ", ", first.detail, ")")});
  }
}

void add_from_table(const ImportFolder& source, ItemList& list, std::vector<FileWarning>& warnings) {
  if (!fs::exists(source.captions))
    fail(ErrorKind::io, "importing ", source.folder, ": there is no captions file ", source.captions,
         ". Name a CSV file with the columns path and caption (and optionally class) by --captions, or take ",
         "the file names as captions with --captions names");
  CsvTable table = parse_csv(read_file_text(source.captions), source.captions.string());
  const std::int64_t path_column = required_column(table, "path", source.captions);
  const std::int64_t caption_column = required_column(table, "caption", source.captions);
  const std::int64_t class_column = table.find("class");
  std::map<std::string, std::size_t> known;
  for (const CsvRow& row : table.rows) {
    const std::string relative =
        path_in(source.folder, std::string(trimmed(row.fields[path_column], kBlanks)));
    const std::string caption = std::string(trimmed(row.fields[caption_column], kBlanks));
    if (relative.empty()) {
      table.left_out.push_back({row.line, "an empty path", ""});
      continue;
    }
    if (!known.contains(relative)) {
      ImportItem& item = list.items[known[relative] = list.add(source.folder, relative)];
      const std::string class_name =
          class_column >= 0 ? std::string(trimmed(row.fields[class_column], kBlanks)) : "";
      if (!class_name.empty()) item.class_name = class_name;
    }
    if (!caption.empty()) list.items[known[relative]].captions.push_back({caption});
  }
  warn_of_rows(table.left_out, source.captions.string(), warnings);
}

void add_by_name(const fs::path& folder, ItemList& list, std::vector<FileWarning>& warnings) {
  const std::vector<fs::path> files = mesh_files_below(folder);
  if (files.empty())
    fail(ErrorKind::input, "importing ", folder, ": it holds no mesh (GLB, glTF, OBJ, PLY, STL and others). ",
         "Check the path");
  for (const fs::path& file : files) {
    ImportItem& item = list.items[list.add(folder, file.lexically_relative(folder).generic_string())];
    std::string caption = caption_of_name(file);
    if (!is_utf8(caption))
      warnings.push_back({file.string(), "is read without a caption, since its name is not UTF-8"});
    else if (!caption.empty())
      item.captions.push_back({std::move(caption)});
  }
}

}  // namespace

std::vector<ImportItem> list_import_items(const std::vector<ImportFolder>& folders,
                                          std::vector<FileWarning>& warnings) {
  ItemList list;
  for (const ImportFolder& folder : folders) {
    if (!fs::is_directory(folder.folder))
      fail(ErrorKind::io, "importing '", folder.folder.string(), "': no such folder. Check the path");
    if (folder.captions.empty())
      add_by_name(folder.folder, list, warnings);
    else
      add_from_table(folder, list, warnings);
  }
  return std::move(list.items);
}

}  // namespace omni::data
