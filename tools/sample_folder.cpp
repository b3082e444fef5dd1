#include "sample_folder.h"

#include <algorithm>

#include "omni/core/error.h"
#include "omni/core/files.h"
#include "omni/core/json_text.h"
#include "omni/core/log.h"
#include "omni/evaluation/report.h"

namespace omni::tools {
namespace {

namespace fs = std::filesystem;
using Json = SampleFolder::Json;

constexpr const char* kRunName = "run.json";
constexpr const char* kResultsName = "results.jsonl";
constexpr const char* kLockName = "lock";

void check_same_run(const fs::path& path, const Json& run) {
  const Json before = parse_json_or_discard<Json>(read_file_text(path));
  if (!before.is_object())
    fail(ErrorKind::input, "sampling into ", path.parent_path(), ": its ", path.filename(),
         ", which tells of the run, is damaged. Take another folder for --out");
  Json all = before;
  all.update(run);
  for (const auto& [key, either] : all.items()) {
    const Json theirs = before.value(key, Json()), value = run.value(key, Json());
    if (theirs == value) continue;
    fail(ErrorKind::usage, "sampling into ", path.parent_path(), ": it holds another run, whose ", key,
         " is ", json_text(theirs), ", not ", json_text(value),
         ". Take another folder for --out, or the same settings");
  }
}

// The lines that a run before wrote. What a kill cut short, or somebody broke, is taken out of the file, so that the next
// line does not join it, and told of: its samples are made again.
std::vector<Json> read_lines(const fs::path& path) {
  std::vector<Json> lines;
  if (!fs::exists(path)) return lines;
  const std::string text = read_file_text(path);
  std::string whole;
  std::size_t number = 1;
  for (std::size_t begin = 0; begin < text.size(); ++number) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    Json line = parse_json_or_discard<Json>(text.substr(begin, end - begin));
    if (line.is_object() && line.contains("name") && line["name"].is_string()) {
      whole += json_text(line) + "\n";
      lines.push_back(std::move(line));
    } else if (end > begin) {
      log_warning(path.string(), ":", number,
                  ": the line is cut off or damaged, and taken out: what it told of is made again");
    }
    begin = end + 1;
  }
  if (whole != text) write_file_atomically(path, std::string_view(whole));
  return lines;
}

std::string text_of(const Json& line, const char* key) {
  const auto found = line.find(key);
  return found != line.end() && found->is_string() ? found->get<std::string>() : std::string();
}

std::string card(const Json& line) {
  const auto escaped = [&](const char* key) { return evaluation::escape_html(text_of(line, key)); };
  std::string html = "<figure>";
  const std::string file = escaped("file"), preview = escaped("preview");
  if (!file.empty()) html += "<a href=\"" + file + "\">";
  if (!preview.empty()) html += "<img loading=\"lazy\" src=\"" + preview + "\" alt=\"\"/>";
  html += "<figcaption>" + escaped("prompt") + "</figcaption>";
  if (!file.empty()) html += "</a>";
  if (line.contains("problem")) html += "<p class=\"problem\">" + escaped("problem") + "</p>";
  if (line.contains("text")) html += "<p>" + escaped("text") + "</p>";
  return html + "<p class=\"small\">" + escaped("name") + "</p></figure>\n";
}

constexpr const char* kStyle =
    "body{font:16px/1.4 system-ui,sans-serif;margin:24px;background:#fff;color:#222}"
    "main{display:grid;grid-template-columns:repeat(auto-fill,minmax(220px,1fr));gap:16px;align-items:start}"
    "figure{margin:0;padding:12px;border:1px solid #ddd;border-radius:8px;overflow-wrap:anywhere}"
    "img{width:100%}.small{color:#666;font-size:13px;margin:4px 0 0}.problem{color:#a30;max-height:9em;overflow:auto}";

}  // namespace

SampleFolder::SampleFolder(fs::path path, const Json& run) : path_(std::move(path)) {
  prepare_output_directory(path_);
  lock_ = std::make_unique<RunLock>(path_ / kLockName, concat("sampling into ", path_));
  const fs::path run_file = path_ / kRunName, results = path_ / kResultsName;
  if (fs::exists(run_file)) {
    check_same_run(run_file, run);
  } else {
    for (const fs::directory_entry& entry : fs::directory_iterator(path_))
      if (entry.path().filename() != kLockName)
        fail(ErrorKind::usage, "sampling into ", path_, ": it holds ", entry.path().filename(),
             ", which no run over prompts has left. Take an empty folder for --out");
  }
  write_file_atomically(run_file, std::string_view(json_text(run, 2) + "\n"));
  for (Json& line : read_lines(results)) {
    places_[text_of(line, "name")] = lines_.size();
    lines_.push_back(std::move(line));
  }
  log_ = std::make_unique<LineFile>(results);
}

const Json* SampleFolder::find(const std::string& name) const {
  const auto found = places_.find(name);
  return found == places_.end() ? nullptr : &lines_[found->second];
}

std::string SampleFolder::missing_file(const std::string& name) const {
  const Json* line = find(name);
  if (line == nullptr) return "";
  std::vector<Json> files;
  for (const char* key : {"file", "preview", "codes"}) files.push_back(line->value(key, Json()));
  for (const Json& image : line->value("images", Json::array())) files.push_back(image);
  std::error_code ignored;  // what cannot be looked for is not there
  for (const Json& file : files)
    if (file.is_string() && !fs::exists(path_ / file.get<std::string>(), ignored))
      return file.get<std::string>();
  return "";
}

void SampleFolder::forget(const std::set<std::string>& names) {
  std::vector<Json> kept;
  std::string whole;
  places_.clear();
  for (Json& line : lines_) {
    const std::string name = text_of(line, "name");
    if (names.contains(name)) continue;
    whole += json_text(line) + "\n";
    places_[name] = kept.size();
    kept.push_back(std::move(line));
  }
  lines_ = std::move(kept);
  const fs::path results = path_ / kResultsName;
  log_.reset();
  write_file_atomically(results, std::string_view(whole));
  log_ = std::make_unique<LineFile>(results);
}

void SampleFolder::add(Json line) {
  log_->append(json_text(line));
  places_[text_of(line, "name")] = lines_.size();
  lines_.push_back(std::move(line));
}

void SampleFolder::write_index(const std::string& title) const {
  AtomicFile page(path_ / "index.html");
  const std::string heading = evaluation::escape_html(title);
  page.write(
      concat("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"/><meta name=\"viewport\" "
             "content=\"width=device-width\"/><title>",
             heading, "</title><style>", kStyle, "</style></head>\n<body><h1>", heading, "</h1>\n<main>\n"));
  for (const auto& [name, place] : places_) page.write(card(lines_[place]));
  page.write("</main></body></html>\n");
  page.commit();
}

}  // namespace omni::tools
