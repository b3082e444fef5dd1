#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "omni/core/error.h"
#include "omni/core/files.h"
#include "omni/core/safetensors.h"
#include "omni/model/verify_public.h"
#include "temporary_directory.h"

namespace omni::model {

// A reference case of tests/fixtures/public in a folder of its own, whose files a test may change. See
// benchmarks/peers/make_public_fixtures.py.
class PublicCase {
 public:
  explicit PublicCase(const std::string& name)
      : source_(std::filesystem::path(OMNI_TEST_FIXTURES) / "public" / name) {
    for (const auto& entry : std::filesystem::directory_iterator(source_))
      std::filesystem::copy_file(entry.path(), folder_ / entry.path().filename().string());
  }
  std::filesystem::path weights() const { return folder_ / "model.safetensors"; }
  std::filesystem::path config() const { return folder_ / "config.json"; }
  std::filesystem::path expected() const { return folder_ / "expected.safetensors"; }
  std::filesystem::path tokenizer() const { return folder_ / "tokenizer.json"; }
  ReferenceCase reference() const { return {weights(), config(), expected()}; }
  std::filesystem::path operator/(const std::string& name) const { return folder_ / name; }

  // The tensors of the original weights, as `change` leaves them, are written to `file`. Their bytes may be changed
  // through `bytes`, which holds copies of them.
  using Tensors = std::map<std::string, TensorView>;
  void rewrite(const std::function<void(Tensors&)>& change,
               const std::string& file = "model.safetensors") const {
    rewrite("model.safetensors", change, file);
  }
  // The same of the reference's inputs and outputs.
  void replace_expected(const std::function<void(Tensors&)>& change) const {
    rewrite("expected.safetensors", change, "expected.safetensors");
  }
  void replace_in_config(const std::string& from, const std::string& to) const {
    std::string text = read_file_text(source_ / "config.json");
    const std::size_t place = text.find(from);
    ASSERT_NE(place, std::string::npos) << from;
    write_file_atomically(config(), std::string_view(text.replace(place, from.size(), to)));
  }
  void restore_config() const {
    write_file_atomically(config(), std::string_view(read_file_text(source_ / "config.json")));
  }

 private:
  void rewrite(const std::string& name, const std::function<void(Tensors&)>& change,
               const std::string& file) const {
    const SafetensorsFile original(source_ / name);
    Tensors tensors = original.tensors();
    change(tensors);
    std::vector<NamedTensorView> views;
    for (const auto& [tensor, view] : tensors) views.push_back({tensor, view});
    write_safetensors(folder_ / file, views, original.metadata());
  }

  std::filesystem::path source_;
  test::TemporaryDirectory folder_;
};

inline void expect_input_error(const std::function<void()>& action, const std::vector<std::string>& words) {
  try {
    action();
    ADD_FAILURE() << "is taken: " << words.front();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::input) << error.what();
    for (const std::string& word : words) EXPECT_THAT(error.what(), testing::HasSubstr(word));
  }
}

}  // namespace omni::model
