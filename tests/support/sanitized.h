#pragma once

namespace omni::test {

// Whether this program's memory is that of a sanitizer, which takes more than the program asks for and ends the process
// where there is none left.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif

}  // namespace omni::test
