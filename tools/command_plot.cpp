#include <algorithm>
#include <filesystem>
#include <iostream>
#include <set>

#include "commands.h"
#include "omni/core/error.h"
#include "omni/core/files.h"
#include "omni/core/log.h"
#include "omni/core/output_folder.h"
#include "omni/evaluation/run_plot.h"
#include "options.h"

namespace omni::tools {
namespace {

namespace fs = std::filesystem;

constexpr const char* kMetrics = "metrics.jsonl";
constexpr const char* kPage = "curves.html";  // of a folder of results, by which it is known, too

struct PlotArguments {
  std::vector<std::string> runs;
  std::string out, axis = "steps";
  double smoothing = 0;
};

struct NamedRun {
  std::string name;  // empty: by its folder
  fs::path folder, metrics;
};

NamedRun parse_run(const std::string& given) {
  NamedRun run;
  std::string path = given;
  const std::size_t sign = given.find('=');
  if (sign != std::string::npos && !fs::exists(given)) {
    run.name = given.substr(0, sign);
    path = given.substr(sign + 1);
    if (run.name.empty() || path.empty())
      fail(ErrorKind::usage, "'", given,
           "': a name, '=' and a run's folder are wanted, as in base=out/pretrain");
  }
  run.folder = fs::absolute(path).lexically_normal();
  if (!run.folder.has_filename()) run.folder = run.folder.parent_path();  // of "out/pretrain/"
  run.metrics = run.folder / kMetrics;
  if (fs::is_regular_file(run.folder)) {
    run.metrics = run.folder;
    run.folder = run.folder.parent_path();
  }
  if (!fs::is_regular_file(run.metrics))
    fail(fs::exists(run.folder) ? ErrorKind::usage : ErrorKind::io, "'", path,
         "' holds no run: there is no '", run.metrics.string(), "'. Name the output of a training command");
  return run;
}

// The last folders of a path.
std::string last_folders(const fs::path& path, std::size_t count) {
  std::vector<std::string> parts;
  for (const fs::path& part : path.relative_path()) parts.push_back(part.string());
  std::string name;
  for (std::size_t i = parts.size() - std::min(count, parts.size()); i < parts.size(); ++i)
    name += (name.empty() ? "" : "/") + parts[i];
  return name.empty() ? path.string() : name;
}

// Runs that nobody named are called by their folder, and by as many of those above it as tell them apart.
void name_runs(std::vector<NamedRun>& runs) {
  std::set<std::string> names;
  std::set<fs::path> unnamed;
  for (const NamedRun& run : runs) {
    if (run.name.empty() ? !unnamed.insert(run.folder).second : !names.insert(run.name).second)
      fail(ErrorKind::usage,
           run.name.empty() ? "'" + run.folder.string() + "'" : "the name '" + run.name + "'",
           " is given twice. Give each run a name of its own, as in first=out/a second=out/b");
  }
  const auto all_differ = [&](std::size_t count) {
    std::set<std::string> taken = names;
    return std::all_of(unnamed.begin(), unnamed.end(), [&](const fs::path& folder) {
      return taken.insert(last_folders(folder, count)).second;
    });
  };
  std::size_t count = 1, most = 1;
  for (const fs::path& folder : unnamed)
    most = std::max(most, static_cast<std::size_t>(std::distance(folder.begin(), folder.end())));
  while (count < most && !all_differ(count)) ++count;
  for (NamedRun& run : runs)
    if (run.name.empty()) run.name = last_folders(run.folder, count);
}

evaluation::PlotAxis axis_of(const std::string& word) {
  if (word == "tokens") return evaluation::PlotAxis::tokens;
  return word == "hours" ? evaluation::PlotAxis::hours : evaluation::PlotAxis::steps;
}

bool is_page(const fs::path& out) { return lower_extension(out) == ".html"; }

void check_place(const fs::path& out) {
  for (const char* picture : {".svg", ".png", ".pdf"})
    if (lower_extension(out) == picture)
      fail(ErrorKind::usage, "--out ", out.string(),
           ": name a folder, which gets a page and an SVG file of every chart, or a page that ends in .html");
  if (is_page(out)) {
    if (fs::is_directory(out))
      fail(ErrorKind::usage, "--out ", out.string(), ": this is a folder. Name a file");
    return;
  }
  // A page alone may have the name of a folder's, and a run or somebody's pictures lie beside it.
  require_only_written(out, kPage, [&](const std::string& name) {
    if (name == kPage) return true;
    return lower_extension(name) == ".svg" && fs::is_regular_file(out / name) &&
           evaluation::is_run_plot_picture(name, read_file_text(out / name));
  });
}

// Returns where the page is.
fs::path write_plot(const std::vector<evaluation::PlottedRun>& runs, const evaluation::PlotOptions& options,
                    const fs::path& out) {
  const std::string page = evaluation::run_plot_page(runs, options);
  if (is_page(out)) {
    if (out.has_parent_path()) prepare_output_directory(out.parent_path());
    write_file_atomically(out, std::string_view(page));
    return out;
  }
  AtomicDirectory folder(out, kPage);
  write_file_atomically(folder.staging_path() / kPage, std::string_view(page));
  for (const auto& [name, picture] : evaluation::run_plot_pictures(runs, options))
    write_file_atomically(folder.staging_path() / name, std::string_view(picture));
  folder.commit();
  return out / kPage;
}

void plot(const PlotArguments& arguments) {
  check_place(arguments.out);
  std::vector<NamedRun> named;
  for (const std::string& given : arguments.runs) named.push_back(parse_run(given));
  name_runs(named);
  const evaluation::PlotOptions options{.axis = axis_of(arguments.axis), .smoothing = arguments.smoothing};
  std::vector<evaluation::PlottedRun> runs;
  for (const NamedRun& run : named) {
    runs.push_back({run.name, evaluation::read_run_curves(run.metrics)});
    for (const std::string& remark : evaluation::remarks(runs.back().curves, options.axis))
      log_warning(run.name, ": ", remark);
  }
  const bool none =
      std::all_of(runs.begin(), runs.end(), [](const auto& run) { return run.curves.steps.empty(); });
  if (none)
    fail(ErrorKind::input, "there is nothing to draw: no line of '", named.front().metrics.string(),
         runs.size() > 1 ? "' or of the others" : "'",
         " tells of a step yet. Wait for the first log_steps steps");
  std::cout << write_plot(runs, options, arguments.out).string() << '\n';
}

}  // namespace

void add_plot_command(CLI::App& app) {
  CLI::App* command = app.add_subcommand("plot", "draw the curves of training runs beside each other");
  const auto arguments = std::make_shared<PlotArguments>();
  command
      ->add_option("runs", arguments->runs,
                   "outputs of training commands, or their metrics.jsonl; NAME=PATH gives one a name")
      ->required();
  command
      ->add_option(
          "--out", arguments->out,
          "folder for a page, curves.html, and an SVG file of every chart; or the page alone: x.html")
      ->required();
  add_choice(*command, "--axis", arguments->axis, {"steps", "tokens", "hours"}, "along which to draw");
  constexpr double kMostSmoothing = 0.9999;
  add_number(*command, "--smoothing", arguments->smoothing, {.minimum = 0, .maximum = kMostSmoothing},
             "weight of what came before in an exponential mean; 0: the values as they are");
  command->callback([arguments] { plot(*arguments); });
}

}  // namespace omni::tools
