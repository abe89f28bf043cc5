# `millrace config explain` -> the options of millrace.yaml(5), in scdoc's words.
# "topics.NAME.fsync", then indented lines, then an empty one.
function escaped(text) {
    gsub(/[\\*_`]/, "\\\\&", text)
    return text
}
/^$/    { print ""; next }
/^    / { print "\t" escaped(substr($0, 5)) (++line == 1 ? "." : ""); next }
{
    line = 0
    plugin = ""
    if (match($0, /  \(.*\)$/)) {
        plugin = " " escaped(substr($0, RSTART + 2))
        $0 = substr($0, 1, RSTART - 1)
    }
    print "*" escaped($0) "*" plugin
}
