#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "omni/core/error.h"

namespace omni::test {

// What an action says that throws an Error of that kind; empty where it throws nothing. Another kind fails the test.
inline std::string refusal(ErrorKind kind, const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), kind) << error.what();
    return error.what();
  }
  return "";
}

inline std::string input_refusal(const std::function<void()>& action) {
  return refusal(ErrorKind::input, action);
}

}  // namespace omni::test
