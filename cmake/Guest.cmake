# Programs for the server, compiled to WebAssembly components with the SDK of sdk/.
#
#   pie_program(<name> SOURCES files... [MANIFEST file] [REGISTRY] [HTTP])
#
# (HTTP: one that serves HTTP and defines inferlet_http) makes <output>/inferlets/<name>.wasm (and .toml, when there is a manifest). With REGISTRY the
# program is also one that every server knows by name: <output>/share/pie/registry/std/<name>/.
# Targets: guest_programs (all of them), guest_sdk (<output>/share/pie/sdk, what `pie build` uses).
# <output> is build/ for the presets, whose folders lie below it, else the build folder itself.

if(CMAKE_BINARY_DIR MATCHES "^${CMAKE_SOURCE_DIR}/build/cmake/")
  set(PIE_OUTPUT ${CMAKE_SOURCE_DIR}/build CACHE INTERNAL "")
else()
  set(PIE_OUTPUT ${CMAKE_BINARY_DIR} CACHE INTERNAL "")
endif()

find_program(PIE_GUEST_CLANG clang++-22 REQUIRED)
execute_process(COMMAND ${Python3_EXECUTABLE} ${CMAKE_SOURCE_DIR}/tools/deps.py get wasm-tools wasi-adapter
  OUTPUT_VARIABLE _folders OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
string(REPLACE "\n" ";" _folders "${_folders}")
list(GET _folders 0 _wasm_tools)
list(GET _folders 1 _adapter)
set(PIE_WASM_TOOLS ${_wasm_tools}/bin/wasm-tools CACHE INTERNAL "")
set(PIE_WASI_ADAPTER ${_adapter}/artefacts/wasi_snapshot_preview1.reactor.wasm CACHE INTERNAL "")

set(PIE_SDK ${CMAKE_SOURCE_DIR}/sdk CACHE INTERNAL "")
add_custom_target(guest_programs ALL)

# Compiles one source; `out` is set to the object.
function(_pie_guest_object source out)
  cmake_path(GET source STEM stem)
  string(SHA256 key ${source})
  string(SUBSTRING ${key} 0 8 key)
  set(object ${CMAKE_BINARY_DIR}/guest/${stem}-${key}.o)
  add_custom_command(OUTPUT ${object}
    COMMAND ${CMAKE_CXX_COMPILER_LAUNCHER} ${PIE_GUEST_CLANG} @${PIE_SDK}/compile.flags
            -I${PIE_SDK}/include -MD -MF ${object}.d -c ${source} -o ${object}
    DEPENDS ${source} ${PIE_SDK}/compile.flags
    DEPFILE ${object}.d
    COMMENT "Compiling ${stem} to WebAssembly" VERBATIM)
  set(${out} ${object} PARENT_SCOPE)
endfunction()

file(MAKE_DIRECTORY ${CMAKE_BINARY_DIR}/guest/core)
file(GLOB _sdk_sources CONFIGURE_DEPENDS ${PIE_SDK}/src/*.cc)
# Every program has the objects of PIE_SDK_OBJECTS, and one pair of world and export.
set(PIE_SDK_OBJECTS "")
set(PIE_SDK_RUN_OBJECTS ${PIE_SDK}/component_type.o)
set(PIE_SDK_HTTP_OBJECTS ${PIE_SDK}/http_component_type.o)
foreach(source ${_sdk_sources})
  _pie_guest_object(${source} object)
  if(source MATCHES "/run_entry\\.cc$")
    list(APPEND PIE_SDK_RUN_OBJECTS ${object})
  elseif(source MATCHES "/http_entry\\.cc$")
    list(APPEND PIE_SDK_HTTP_OBJECTS ${object})
  else()
    list(APPEND PIE_SDK_OBJECTS ${object})
  endif()
endforeach()
# Other folders depend on the objects through this target: custom commands are per folder.
add_custom_target(guest_sdk_objects DEPENDS ${PIE_SDK_OBJECTS} ${PIE_SDK_RUN_OBJECTS} ${PIE_SDK_HTTP_OBJECTS})
foreach(_list PIE_SDK_OBJECTS PIE_SDK_RUN_OBJECTS PIE_SDK_HTTP_OBJECTS)
  set(${_list} ${${_list}} CACHE INTERNAL "")
endforeach()

# The target `headers` compiles the SDK's headers alone, too (cmake/Layers.cmake).
if(PIE_BUILD_TESTS)
  set(_lone "")
  file(GLOB _headers CONFIGURE_DEPENDS RELATIVE ${PIE_SDK}/include ${PIE_SDK}/include/pie/*.h)
  foreach(header ${_headers})
    cmake_path(GET header STEM stem)
    if(NOT EXISTS ${PIE_SDK}/src/${stem}.cc)
      file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/headers/sdk/${stem}_alone.cc CONTENT "#include <${header}>\n")
      _pie_guest_object(${CMAKE_BINARY_DIR}/headers/sdk/${stem}_alone.cc object)
      list(APPEND _lone ${object})
    endif()
  endforeach()
  add_custom_target(guest_headers DEPENDS ${_lone})
  add_dependencies(headers guest_headers)
endif()

# Copies one file when it is older; `to` is added to the list `list_name`.
function(_pie_copy from to list_name)
  add_custom_command(OUTPUT ${to} COMMAND ${CMAKE_COMMAND} -E copy ${from} ${to} DEPENDS ${from} VERBATIM)
  set(${list_name} ${${list_name}} ${to} PARENT_SCOPE)
endfunction()

function(pie_program name)
  cmake_parse_arguments(arg "REGISTRY;HTTP" "MANIFEST" "SOURCES" ${ARGN})
  set(sdk_objects ${PIE_SDK_RUN_OBJECTS} ${PIE_SDK_OBJECTS})
  if(arg_HTTP)
    set(sdk_objects ${PIE_SDK_HTTP_OBJECTS} ${PIE_SDK_OBJECTS})
  endif()
  set(objects "")
  foreach(source ${arg_SOURCES})
    cmake_path(ABSOLUTE_PATH source NORMALIZE)
    _pie_guest_object(${source} object)
    list(APPEND objects ${object})
  endforeach()
  # The module's file name is the one that backtraces show.
  set(core ${CMAKE_BINARY_DIR}/guest/core/${name}.wasm)
  set(component ${PIE_OUTPUT}/inferlets/${name}.wasm)
  # The component appears by one rename: a running server keeps the file it has open.
  add_custom_command(OUTPUT ${component}
    COMMAND ${PIE_GUEST_CLANG} @${PIE_SDK}/compile.flags @${PIE_SDK}/link.flags ${objects} ${sdk_objects} -o ${core}
    COMMAND ${PIE_WASM_TOOLS} component new ${core} --adapt wasi_snapshot_preview1=${PIE_WASI_ADAPTER} -o ${core}.new
    COMMAND ${CMAKE_COMMAND} -E make_directory ${PIE_OUTPUT}/inferlets
    COMMAND ${CMAKE_COMMAND} -E rename ${core}.new ${component}
    DEPENDS ${objects} ${sdk_objects} ${PIE_SDK}/link.flags
    COMMENT "Linking program ${name}" VERBATIM)
  set(outputs ${component})
  if(arg_MANIFEST)
    cmake_path(ABSOLUTE_PATH arg_MANIFEST NORMALIZE)
    _pie_copy(${arg_MANIFEST} ${PIE_OUTPUT}/inferlets/${name}.toml outputs)
  endif()
  if(arg_REGISTRY)
    file(STRINGS ${arg_MANIFEST} version REGEX "^version *=")
    string(REGEX REPLACE ".*\"(.*)\".*" "\\1" version "${version}")
    set(registry ${PIE_OUTPUT}/share/pie/registry/std/${name}/${version})
    _pie_copy(${component} ${registry}.wasm outputs)
    _pie_copy(${arg_MANIFEST} ${registry}.toml outputs)
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${arg_MANIFEST})
  endif()
  add_custom_target(program_${name} DEPENDS ${outputs})
  set_target_properties(program_${name} PROPERTIES PIE_COMPONENT ${component})
  add_dependencies(program_${name} guest_sdk_objects)
  add_dependencies(guest_programs program_${name})
endfunction()

# What `pie build` needs beside the compiler, in the layout that src/cli/build_program.cc reads.
set(_sdk ${PIE_OUTPUT}/share/pie/sdk)
set(_outputs "")
file(GLOB _headers CONFIGURE_DEPENDS RELATIVE ${PIE_SDK} ${PIE_SDK}/include/pie/*.h)
foreach(file ${_headers} compile.flags link.flags)
  _pie_copy(${PIE_SDK}/${file} ${_sdk}/${file} _outputs)
endforeach()
foreach(pair PIE_SDK_OBJECTS:lib PIE_SDK_RUN_OBJECTS:entry/run PIE_SDK_HTTP_OBJECTS:entry/http)
  string(REGEX MATCH "^(.*):(.*)$" _ ${pair})
  set(folder ${CMAKE_MATCH_2})
  foreach(object ${${CMAKE_MATCH_1}})
    cmake_path(GET object FILENAME name)
    string(REGEX REPLACE "-[0-9a-f]*\\.o$" ".o" name ${name})
    _pie_copy(${object} ${_sdk}/${folder}/${name} _outputs)
  endforeach()
endforeach()
_pie_copy(${PIE_WASM_TOOLS} ${_sdk}/bin/wasm-tools _outputs)
_pie_copy(${PIE_WASI_ADAPTER} ${_sdk}/adapter.wasm _outputs)
include(${CMAKE_CURRENT_LIST_DIR}/RemoveOthers.cmake)
pie_remove_others(${_sdk} ${_outputs})
add_custom_target(guest_sdk ALL DEPENDS ${_outputs})
