# The bytes of the Raft log and of Raft messages. Included by proto/CMakeLists.txt.
#   rf_check       check.h, strict.h
#   rf_envelope    envelope.h
#   rf_raft_proto  generated from raft.proto
find_package(ZLIB REQUIRED)
find_program(PROTOC_C protoc-c REQUIRED)

function(rf_consensus_proto name)
    set(out ${CMAKE_BINARY_DIR}/proto/${name}.pb-c)
    add_custom_command(
        OUTPUT ${out}.c ${out}.h
        COMMAND ${CMAKE_COMMAND} -E make_directory ${CMAKE_BINARY_DIR}/proto
        COMMAND ${PROTOC_C} --proto_path=${CMAKE_SOURCE_DIR} --c_out=${CMAKE_BINARY_DIR}
                ${CMAKE_SOURCE_DIR}/proto/${name}.proto
        DEPENDS ${CMAKE_SOURCE_DIR}/proto/${name}.proto
        VERBATIM)
    set_source_files_properties(${out}.c PROPERTIES COMPILE_OPTIONS -w)
endfunction()

rf_consensus_proto(log_envelope)
rf_consensus_proto(raft)

add_library(rf_check STATIC ${CMAKE_CURRENT_LIST_DIR}/check.c
    ${CMAKE_CURRENT_LIST_DIR}/strict.c ${CMAKE_CURRENT_LIST_DIR}/whole.c)
target_link_libraries(rf_check PUBLIC rf_base PkgConfig::PROTOBUFC)

add_library(rf_envelope STATIC ${CMAKE_CURRENT_LIST_DIR}/envelope.c
    ${CMAKE_BINARY_DIR}/proto/log_envelope.pb-c.c)
target_include_directories(rf_envelope SYSTEM PUBLIC ${CMAKE_BINARY_DIR})
target_link_libraries(rf_envelope PUBLIC rf_check
    PRIVATE PkgConfig::OPENSSL ZLIB::ZLIB)

add_library(rf_raft_proto STATIC ${CMAKE_BINARY_DIR}/proto/raft.pb-c.c)
target_include_directories(rf_raft_proto SYSTEM PUBLIC ${CMAKE_BINARY_DIR})
target_link_libraries(rf_raft_proto PUBLIC PkgConfig::PROTOBUFC)
