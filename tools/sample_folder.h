#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "omni/core/line_file.h"
#include "omni/core/run_lock.h"

namespace omni::tools {

// The folder of a run over many prompts: run.json (what all its samples share), results.jsonl (a line per
// sample, or per prompt that cannot be used), the samples' files, and index.html, which shows them. What is
// in results.jsonl is done: the same command goes on after it.
class SampleFolder {
 public:
  using Json = nlohmann::ordered_json;

  // `run`: a flat mapping. Throws Error(usage) for a folder of another run, naming the first difference, for one
  // that holds other things, and for one in use; Error(io).
  SampleFolder(std::filesystem::path path, const Json& run);

  const std::filesystem::path& path() const { return path_; }
  // The line of that name; nothing where there is none yet. Names are those of samples, without an ending.
  const Json* find(const std::string& name) const;
  // A file that the line of that name tells of and that is gone; empty where all are there, and without a line.
  std::string missing_file(const std::string& name) const;
  // Takes their lines out. Throws Error(io).
  void forget(const std::set<std::string>& names);
  // `line` holds at least "name". Its files are written already. Throws Error(io).
  void add(Json line);
  // index.html, anew. Throws Error(io).
  void write_index(const std::string& title) const;

 private:
  std::filesystem::path path_;
  std::unique_ptr<RunLock> lock_;
  std::unique_ptr<LineFile> log_;
  std::vector<Json> lines_;
  std::map<std::string, std::size_t> places_;  // by name
};

}  // namespace omni::tools
