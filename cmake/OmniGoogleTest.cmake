# GoogleTest: the system's, or under MemorySanitizer, which has to see every write, built from the system's sources.
if(NOT OMNI_SANITIZE MATCHES "memory")
  find_package(GTest REQUIRED)
  return()
endif()
set(_sources /usr/src/googletest)
if(NOT EXISTS "${_sources}/CMakeLists.txt")
  message(FATAL_ERROR "MemorySanitizer needs GoogleTest's sources in ${_sources}: install libgtest-dev")
endif()
set(BUILD_GMOCK ON)
set(INSTALL_GTEST OFF)
# The standard library is not instrumented: what its templates write is seen where they are compiled anew. It and
# GoogleTest's own sources do not report. Values that only pass through a call are no finding yet.
add_compile_options(-fsanitize=memory -fsanitize-memory-track-origins=1 -fno-sanitize-memory-param-retval
  "-fsanitize-ignorelist=${CMAKE_CURRENT_LIST_DIR}/memory_sanitizer_ignored.txt" -D_GLIBCXX_EXTERN_TEMPLATE=0 -g1
  -fno-omit-frame-pointer)
add_link_options(-fsanitize=memory)
add_subdirectory(${_sources} "${CMAKE_BINARY_DIR}/googletest" EXCLUDE_FROM_ALL)
