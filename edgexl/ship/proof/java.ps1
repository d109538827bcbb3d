$package = "{title}.jar"
$bundle = "work/{module}/{file}"
Set-Location work
& jar xf "../$package" "{module}/{file}"
Set-Location ..
Tool { java -version }
& javac -encoding UTF-8 -cp $package -d work/classes -implicit:none Vectors.java PrintVectors.java
Answer java @("-cp", "$package$([IO.Path]::PathSeparator)work/classes", "{module}.PrintVectors", "{vectors}")
