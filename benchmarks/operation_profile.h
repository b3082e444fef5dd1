#pragma once

#include <ATen/record_function.h>

#include <algorithm>
#include <cstdio>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "kernels/timing.h"

namespace omni::benchmarks {

// Time inside each operation while it lives, without the operations that it calls. One at a time. On a GPU
// that is the time to launch them.
class OperationProfile {
 public:
  OperationProfile() {
    current() = this;
    handle_ =
        at::addGlobalCallback(at::RecordFunctionCallback(&OperationProfile::begin, &OperationProfile::end));
  }
  ~OperationProfile() { at::removeCallback(handle_); }
  OperationProfile(const OperationProfile&) = delete;
  OperationProfile& operator=(const OperationProfile&) = delete;

  void print(const char* title, std::size_t count, double steps) const {
    std::vector<std::pair<double, std::string>> order;
    for (const auto& [name, time] : times_) order.emplace_back(time, name);
    std::sort(order.rbegin(), order.rend());
    std::printf("largest costs of %s:\n", title);
    for (std::size_t i = 0; i < std::min(count, order.size()); ++i)
      std::printf("  %7.2f ms  %s\n", order[i].first / steps * 1e3, order[i].second.c_str());
  }

 private:
  struct Frame : at::ObserverContext {
    double start = 0, children = 0;
    Frame* parent = nullptr;
  };
  static OperationProfile*& current() {
    static OperationProfile* profile = nullptr;
    return profile;
  }
  static Frame*& top() {
    static thread_local Frame* frame = nullptr;
    return frame;
  }
  static std::unique_ptr<at::ObserverContext> begin(const at::RecordFunction&) {
    auto frame = std::make_unique<Frame>();
    frame->parent = top();
    frame->start = benchmark::seconds();
    top() = frame.get();
    return frame;
  }
  static void end(const at::RecordFunction& function, at::ObserverContext* context) {
    auto* frame = static_cast<Frame*>(context);
    const double took = benchmark::seconds() - frame->start;
    current()->times_[function.name()] += took - frame->children;
    top() = frame->parent;
    if (frame->parent) frame->parent->children += took;
  }
  at::CallbackHandle handle_{};
  std::map<std::string, double> times_;
};

}  // namespace omni::benchmarks
