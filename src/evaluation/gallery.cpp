#include "gallery.h"

#include <cstdio>

#include "html.h"
#include "omni/core/error.h"
#include "omni/evaluation/report.h"
#include "omni/generation/mesh_export.h"
#include "page_assets.h"
#include "page_mesh.h"
#include "sample_files.h"

namespace omni::evaluation {
namespace {

namespace fs = std::filesystem;

constexpr const char* kViewer = R"html(
<dialog id="viewer" aria-labelledby="viewer-title">
<div class="top"><p id="viewer-title"></p><button type="button" class="previous" aria-label="the mesh before">‹</button>
<button type="button" class="next" aria-label="the next mesh">›</button>
<button type="button" class="close" aria-label="close">×</button></div>
<canvas tabindex="0" role="img"></canvas>
<p class="message" hidden="hidden">This browser draws no WebGL, so it cannot turn the mesh here. Open the file below in another viewer.</p>
<div class="bottom"><span>Drag or arrow keys turn, wheel or + and - zoom, Home goes back, Page Up and Down change the mesh.</span>
<a href="#gallery">the file</a></div>
</dialog>
)html";

class Gallery {
 public:
  Gallery(const SweepConfig& config, const std::vector<UnitResult>& units, const fs::path& output)
      : config_(config), units_(units), output_(output), meshes_(output, mesh_files(units)) {}

  std::string html() const {
    std::string html, open_section;
    for (const UnitResult& unit : units_) {
      for (const SampleResult& sample : unit.samples) {
        if (sample.pictures.empty()) continue;
        const std::string section = config_.bundles.size() > 1 ? unit.task + ", " + unit.bundle : unit.task;
        if (section != open_section) {
          if (!open_section.empty()) html += "</div>\n";
          html += "<h3>" + escape_html(section) + "</h3>\n<div class=\"gallery\">\n";
          open_section = section;
        }
        html += card(unit, sample);
      }
    }
    if (open_section.empty()) return note("No samples were pictured.");
    return head() + html + "</div>\n" + viewer();
  }

 private:
  static std::vector<std::string> mesh_files(const std::vector<UnitResult>& units) {
    std::vector<std::string> files;
    for (const UnitResult& unit : units)
      for (const SampleResult& sample : unit.samples)
        if (const auto mesh = sample.pictures.find("mesh");
            mesh != sample.pictures.end() && !mesh->second.empty())
          files.push_back(mesh->second);
    return files;
  }

  std::string head() const {
    std::string text;
    if (meshes_.size() > 0)
      text += "A click on a card turns its mesh. The GLB files lie beside this page, in samples/.";
    if (meshes_.left_out() > 0)
      text += concat(" The page holds ", meshes_.size(), " meshes, ", PageMeshes::kLimit >> 20, " MB; ",
                     meshes_.left_out(), " more are files alone.");
    return text.empty() ? "" : note(text);
  }

  std::string viewer() const {
    if (meshes_.size() == 0) return "";
    return concat(kViewer, "<script>\n", kViewerScript, "</script>\n");
  }

  std::string row(const SampleResult& sample, const std::string& kind, const std::string& label) const {
    const auto found = sample.pictures.find(kind);
    if (found == sample.pictures.end()) return "";
    return "<div class=\"row\"><span>" + label + "</span>" +
           inline_picture(output_ / found->second, label + ": " + sample.prompt) + "</div>\n";
  }

  // A line may end before the elevation alone.
  static std::string unbroken(std::string label) {
    for (const std::string word : {"az ", "el "})
      if (const std::size_t at = label.find(word); at != label.npos) label.replace(at + 2, 1, "\u00A0");
    return label;
  }

  // From where the strips' pictures look.
  static std::string views_row(const SampleResult& sample) {
    if (!sample.pictures.contains("generated") && !sample.pictures.contains("truth")) return "";
    std::string html = "<div class=\"row\"><span></span><div class=\"views\">";
    for (const geometry::Camera& camera : generation::views_around(SampleFiles::kStripViews))
      html += "<span>" + escape_html(unbroken(geometry::view_label(camera))) + "</span>";
    return html + "</div></div>\n";
  }

  std::string caption(const UnitResult& unit, const SampleResult& sample) const {
    std::string html = "<figcaption><span class=\"tag\">" + escape_html(sample.split) +
                       "</span><span class=\"tag setting\">" + escape_html(unit.setting) + "</span>";
    if (config_.bundles.size() > 1)
      html += "<span class=\"tag setting\">" + escape_html(unit.bundle) + "</span>";
    const auto add = [&](const char* metric, const char* name, const char* format, double scale) {
      const auto found = sample.metrics.find(metric);
      if (found == sample.metrics.end()) return;
      char number[64];
      std::snprintf(number, sizeof number, format, scale * found->second);
      html += concat(" ", name, " ", number);
    };
    add("iou", "IoU", "%.2f", 1);
    add("colour", "colours", "%.0f %%", 100);
    add("psnr_db", "PSNR", "%.1f dB", 1);
    add("words", "words", "%.2f", 1);
    const auto mesh = sample.pictures.find("mesh");
    if (mesh == sample.pictures.end() || mesh->second.empty()) return html + "</figcaption>\n";
    html += " <a class=\"mesh\" href=\"" + escape_html(mesh->second) + "\">GLB</a></figcaption>\n";
    if (const std::string* packed = meshes_.find(mesh->second))
      html += "<script type=\"text/plain\" class=\"mesh\">" + *packed + "</script>\n";
    return html;
  }

  std::string card(const UnitResult& unit, const SampleResult& sample) const {
    std::string html =
        "<figure>\n<p>" + escape_html(sample.prompt.empty() ? sample.object : sample.prompt) + "</p>\n";
    html += row(sample, "condition", "given") + row(sample, "image", "picture") +
            row(sample, "generated", "made") + row(sample, "truth", "true") + views_row(sample);
    if (!sample.text.empty()) html += "<p>" + escape_html("→ " + sample.text) + "</p>\n";
    return html + caption(unit, sample) + "</figure>\n";
  }

  const SweepConfig& config_;
  const std::vector<UnitResult>& units_;
  fs::path output_;
  PageMeshes meshes_;
};

}  // namespace

std::string gallery(const SweepConfig& config, const std::vector<UnitResult>& units, const fs::path& output) {
  return Gallery(config, units, output).html();
}

}  // namespace omni::evaluation
