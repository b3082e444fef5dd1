#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <sstream>
#include <string>

#include "omni/core/files.h"
#include "omni/core/json_text.h"
#include "temporary_directory.h"

namespace omni::evaluation::testing {

namespace fs = std::filesystem;

// Around the page, since Chromium's own window is never narrower than 500 pixels.
inline std::string frame_around(int width) {
  return "<!DOCTYPE html><iframe src=\"probed.html\" width=\"" + std::to_string(width) +
         "\" height=\"900\" style=\"border:0\"></iframe>";
}

inline std::string find_browser() {
  std::istringstream folders(std::getenv("PATH") != nullptr ? std::getenv("PATH") : "");
  for (std::string folder; std::getline(folders, folder, ':');)
    for (const char* name : {"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"})
      if (fs::exists(fs::path(folder) / name)) return (fs::path(folder) / name).string();
  return "";
}

struct Visit {
  std::string console;    // errors, warnings and messages, with where they came from
  nlohmann::json report;  // of a probe
};

// Looks at pages in Chromium; skipped where none is found.
class InBrowser : public ::testing::Test {
 protected:
  void SetUp() override {
    if (browser_.empty())
      GTEST_SKIP() << "no chromium, chromium-browser or google-chrome on PATH: the page is not looked at";
  }

  // A page with a script of the test's own at its end.
  Visit visit(const std::string& page, int width, const std::string& script) {
    std::string probed = page;
    probed.insert(probed.rfind("</body>"), "<script>" + script + "</script>\n");
    write_file_atomically(folder_ / "probed.html", std::string_view(probed));
    write_file_atomically(folder_ / "frame.html", std::string_view(frame_around(width)));
    const auto quoted = [this](const char* name) { return "'" + (folder_ / name).string() + "'"; };
    const std::string command =
        "timeout 120 '" + browser_ +
        "' --headless --no-sandbox --disable-dev-shm-usage --hide-scrollbars --window-size=1400,1000 "
        "--use-angle=swiftshader --enable-unsafe-swiftshader --enable-logging=stderr --user-data-dir=" +
        quoted("profile") + " --screenshot=" + quoted("picture.png") + " file://" + quoted("frame.html") +
        " 2>" + quoted("log") + " >/dev/null";
    EXPECT_EQ(std::system(command.c_str()), 0) << read_file_text(folder_ / "log");
    Visit visit;
    std::istringstream lines(read_file_text(folder_ / "log"));
    for (std::string line; std::getline(lines, line);) {
      if (line.find("CONSOLE") == line.npos) continue;
      const std::string begin = "\"probe: ";
      const std::size_t probe = line.find(begin);
      if (probe == line.npos) {
        visit.console += line + "\n";
        continue;
      }
      const std::string text = line.substr(probe + begin.size());
      visit.report = parse_json_or_discard(text.substr(0, text.rfind("\", source:")));
    }
    return visit;
  }

  test::TemporaryDirectory folder_;
  const std::string browser_ = find_browser();
};

}  // namespace omni::evaluation::testing
