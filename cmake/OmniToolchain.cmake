# Compiler settings shared by every target, as the interface target omni_options.
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()

find_program(OMNI_CCACHE ccache)
if(OMNI_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  # A precompiled header holds time stamps; without this sloppiness ccache would never hit, and without its cache of
  # inodes it would read the header, hundreds of megabytes, for every file.
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env
    CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime CCACHE_INODECACHE=1 ${OMNI_CCACHE})
endif()

add_library(omni_options INTERFACE)
target_compile_options(omni_options INTERFACE -Wall -Wextra -Wno-sign-compare -Wno-missing-field-initializers -fno-math-errno)
# Releases keep their assertions: a wrong index must stop the program, not corrupt a mesh.
foreach(_type RELEASE RELWITHDEBINFO)
  string(REPLACE "-DNDEBUG" "" CMAKE_CXX_FLAGS_${_type} "${CMAKE_CXX_FLAGS_${_type}}")
endforeach()
string(REPLACE "-O3" "-O2" CMAKE_CXX_FLAGS_RELEASE "${CMAKE_CXX_FLAGS_RELEASE}")
if(OMNI_CCACHE)
  target_compile_options(omni_options INTERFACE -fpch-preprocess)
endif()
if(OMNI_SANITIZE)
  target_compile_options(omni_options INTERFACE -fsanitize=${OMNI_SANITIZE} -fno-omit-frame-pointer -g1)
  if(OMNI_SANITIZE MATCHES "undefined")
    # A finding must fail the test, not only be printed.
    target_compile_options(omni_options INTERFACE -fno-sanitize-recover=undefined)
  endif()
  target_link_options(omni_options INTERFACE -fsanitize=${OMNI_SANITIZE})
endif()
find_program(OMNI_LLD ld.lld)
if(OMNI_LLD)
  target_link_options(omni_options INTERFACE -fuse-ld=lld)
endif()
