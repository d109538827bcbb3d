need javac "install a JDK, 8 or newer"
package={title}.jar
bundle=work/{module}/{file}
(cd work && jar xf "../$package" {module}/{file})
tool java -version
javac -encoding UTF-8 -cp "$package" -d work/classes -implicit:none Vectors.java PrintVectors.java
java -cp "$package:work/classes" {module}.PrintVectors {vectors} >work/answers || true
