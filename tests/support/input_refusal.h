#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "omni/core/error.h"

namespace omni::test {

// What an action says that throws Error(input); empty where it throws nothing. Another kind of error fails the test.
inline std::string input_refusal(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::input) << error.what();
    return error.what();
  }
  return "";
}

}  // namespace omni::test
